package signer

import "slices"

// LeastRSA is how many bits an RSA key must have for what it signs to be an approval: 112
// bits of security (SP 800-57 part 1, table 2; RFC 7518, 3.3).
const LeastRSA = 2048

// People are those whom a policy names to approve.
type People struct {
	// Approvers are in the order of their names.
	Approvers []Approver
	// Groups are the names of approvers, by the name of the group.
	Groups map[string][]string
	// Recovery is who may do what the rules would have others approve, when those
	// cannot: change the policy and thaw. Nil: nobody.
	Recovery *Quorum
}

// Approver is one person.
type Approver struct {
	Name string
	// Users are the names of the local users that are this person's.
	Users []string
	// Devices are what the person approves with, each with a key of its own.
	Devices []Device
}

// Device is a token in which an approver has a key.
type Device struct {
	// Name tells it from the approver's others. An approver with one need not name it.
	Name string
	// ID names the key in an approval: "sha256:" and the hexadecimal SHA-256 of the
	// SubjectPublicKeyInfo of the certificate, or the fingerprint of the SSH key as
	// ssh-keygen shows it, "SHA256:" and base64.
	ID string
	// Certificate is in DER; or else SSH is the public key in SSH's wire format (RFC
	// 4253, 6.6). One of the two is set.
	Certificate, SSH []byte
	// Unverified accepts signatures of a FIDO key for which the token did not verify
	// its user, by a PIN or a finger. That somebody touched it is always demanded.
	Unverified bool
}

// Find returns the approver and the device of a key, or false.
func (p People) Find(id string) (Approver, Device, bool) {
	for _, a := range p.Approvers {
		for _, d := range a.Devices {
			if d.ID == id && id != "" {
				return a, d, true
			}
		}
	}
	return Approver{}, Device{}, false
}

// Owner returns the name of the approver whose local user a caller is, or false.
func (p People) Owner(c Caller) (string, bool) {
	i := slices.IndexFunc(p.Approvers, func(a Approver) bool { return c.User != "" && slices.Contains(a.Users, c.User) })
	if i < 0 {
		return "", false
	}
	return p.Approvers[i].Name, true
}
