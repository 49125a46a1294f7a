// A FIDO token as OpenSSH sees one: a library that makes keys and signs with them
// (sk-api.h of OpenSSH 9.0 and later, version 10; PROTOCOL.u2f). As with a token that
// keeps nothing, a key's handle holds its private half; unlike there, in the clear.
//
// The user is always there when asked to be, and verified by a PIN, 123456. What was not
// asked for is not in the flags: a key that was made with no-touch-required signs without
// the flag of presence, one without verify-required without that of verification.
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { version = 0x000a0000, ecdsa = 0, ed25519 = 1, present = 0x01, verified = 0x04 };
enum { err_general = -1, err_unsupported = -2, err_pin_required = -3 };

struct sk_option;

struct sk_enroll_response {
	uint8_t flags;
	uint8_t *public_key;
	size_t public_key_len;
	uint8_t *key_handle;
	size_t key_handle_len;
	uint8_t *signature;
	size_t signature_len;
	uint8_t *attestation_cert;
	size_t attestation_cert_len;
	uint8_t *authdata;
	size_t authdata_len;
};

struct sk_sign_response {
	uint8_t flags;
	uint32_t counter;
	uint8_t *sig_r;
	size_t sig_r_len;
	uint8_t *sig_s;
	size_t sig_s_len;
};

uint32_t sk_api_version(void) { return version; }

// locked reports whether an operation takes the PIN and does not have it.
static int locked(uint8_t flags, const char *pin) {
	return (flags & verified) && (pin == NULL || strcmp(pin, "123456") != 0);
}

int sk_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application, uint8_t flags,
		const char *pin, struct sk_option **options, struct sk_enroll_response **out) {
	if (locked(flags, pin))
		return err_pin_required;
	EVP_PKEY *key = NULL;
	if (alg == ed25519)
		key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	else if (alg == ecdsa)
		key = EVP_EC_gen("P-256");
	else
		return err_unsupported;
	struct sk_enroll_response *r = calloc(1, sizeof *r);
	if (key == NULL || r == NULL)
		return err_general;
	r->flags = flags;
	if (alg == ed25519) {
		r->public_key_len = 32;
		r->public_key = malloc(32);
		if (EVP_PKEY_get_raw_public_key(key, r->public_key, &r->public_key_len) != 1)
			return err_general;
	} else {
		r->public_key_len = EVP_PKEY_get1_encoded_public_key(key, &r->public_key);
	}
	int n = i2d_PrivateKey(key, &r->key_handle);
	if (n <= 0 || r->public_key_len == 0)
		return err_general;
	r->key_handle_len = n;
	// ssh-keygen wants a signature of the token's maker, and keeps it without a look.
	r->signature_len = 1;
	r->signature = calloc(1, 1);
	EVP_PKEY_free(key);
	*out = r;
	return 0;
}

int sk_sign(uint32_t alg, const uint8_t *data, size_t data_len, const char *application, const uint8_t *handle, size_t handle_len,
		uint8_t flags, const char *pin, struct sk_option **options, struct sk_sign_response **out) {
	if (locked(flags, pin))
		return err_pin_required;
	EVP_PKEY *key = d2i_PrivateKey(alg == ed25519 ? EVP_PKEY_ED25519 : EVP_PKEY_EC, NULL, &handle, (long)handle_len);
	struct sk_sign_response *r = calloc(1, sizeof *r);
	if (key == NULL || r == NULL)
		return err_general;
	r->flags = flags & (present | verified);
	r->counter = (uint32_t)time(NULL);

	// Web Authentication, 6.1 and 6.3.3.
	uint8_t said[32 + 1 + 4 + 32];
	SHA256((const uint8_t *)application, strlen(application), said);
	said[32] = r->flags;
	for (int i = 0; i < 4; i++)
		said[33 + i] = (uint8_t)(r->counter >> (24 - 8 * i));
	SHA256(data, data_len, said + 37);

	uint8_t sig[128];
	size_t n = sizeof sig;
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	if (EVP_DigestSignInit(c, NULL, alg == ed25519 ? NULL : EVP_sha256(), NULL, key) != 1 || EVP_DigestSign(c, sig, &n, said, sizeof said) != 1)
		return err_general;
	EVP_MD_CTX_free(c);
	EVP_PKEY_free(key);
	if (alg == ed25519) {
		r->sig_r = malloc(n);
		memcpy(r->sig_r, sig, r->sig_r_len = n);
	} else {
		const uint8_t *at = sig;
		ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)n);
		r->sig_r_len = r->sig_s_len = 32;
		r->sig_r = malloc(32);
		r->sig_s = malloc(32);
		if (pair == NULL || BN_bn2binpad(ECDSA_SIG_get0_r(pair), r->sig_r, 32) != 32 || BN_bn2binpad(ECDSA_SIG_get0_s(pair), r->sig_s, 32) != 32)
			return err_general;
		ECDSA_SIG_free(pair);
	}
	*out = r;
	return 0;
}

int sk_load_resident_keys(const char *pin, struct sk_option **options, void ***keys, size_t *n) { return err_unsupported; }
