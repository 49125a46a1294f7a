package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
)

// cardSerial is the serial number of the virtual card. Each folder has a reader of its
// own, so all cards can have the same.
const cardSerial = 4711

// devicesConfig goes on where [configText] ends.
const devicesConfig = `
# A TPM, which is swtpm, and a PIV card in a reader of its own pcscd. They run until
# "sealward-sim down", and keep what they keep in this folder.
token "chip" {
  tpm {
    device    = "tpm/tpm"
    auth_file = "tpm.auth"
  }
}

token "card" {
  piv {
    serial   = 4711
    socket   = "reader/pcscd.comm"
    pin_file = "card.pin"
  }
}

key "soft" {
  token = "softhsm"
  uri   = "pkcs11:object=soft"
  kinds = ["digest"]
}

key "chip" {
  token = "chip"
  file  = "chip.key"
  kinds = ["digest"]
}

key "card" {
  token = "card"
  slot  = "9a"
  kinds = ["digest"]
}
`

// upKeys are the keys of SoftHSM in that set-up.
var upKeys = []sim.KeyToMake{
	{Label: "hot", Algorithm: signer.AlgorithmSecp256k1}, {Label: "journal", Algorithm: signer.AlgorithmEd25519}, {Label: "soft", Algorithm: signer.AlgorithmP256},
}

// devicesPolicy goes on where [policyText] ends.
const devicesPolicy = `
# What a digest stands for cannot be seen; at most a hundred a day.
rule "digests" {
  keys  = ["soft", "chip", "card"]
  kinds = ["digest"]
  blind = ["opaque"]
  allow = true

  limit "a day" {
    count  = 100
    window = "24h"
  }
}
`

// up starts a device of each kind in a folder, with a key in each and a set-up that
// uses them, and returns once they are ready. Called again after down, it starts
// those that are there.
func up(bin, dir string) (err error) {
	if bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	// unix(7): sun_path has 108 bytes with the zero that ends it.
	if longest := filepath.Join(dir, "reader/pcscd.comm"); len(longest) > 107 {
		return fmt.Errorf("%s is too long for the path of a Unix socket; name a folder with a shorter path", longest)
	}
	if running, err := read(dir); err == nil && len(running.alive()) > 0 {
		return fmt.Errorf("the devices in %s are up already", dir)
	}
	made := false
	switch err := os.Mkdir(dir, 0o700); {
	case err == nil:
		made = true
	case !errors.Is(err, fs.ErrExist):
		return err
	default:
		if _, err := os.Stat(filepath.Join(dir, "card.json")); err != nil {
			return fmt.Errorf("%s exists and has no devices; name a folder that does not", dir)
		}
	}
	if err := startKeeper(bin, dir); err != nil {
		if made {
			err = errors.Join(err, os.RemoveAll(dir))
		}
		return err
	}
	fmt.Printf(`up in %s:
    SoftHSM      keys hot, soft and journal
    TPM          key chip
    PIV card     key card, in slot 9a; the PIN is %s
sealward.hcl and policy.hcl there use them. Then:
    sealward-sim run %[1]s
    sealward-sim down --dir %[1]s
`, dir, sim.CardPIN)
	return nil
}

// startKeeper starts the process that has the devices, and waits for its word.
func startKeeper(bin, dir string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	log, err := os.OpenFile(filepath.Join(dir, "sim.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return errors.Join(err, w.Close())
	}
	defer log.Close()
	exe, err := os.Executable()
	if err != nil {
		return errors.Join(err, w.Close())
	}
	cmd := exec.Command(exe, "keep", bin, dir)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives the terminal
	err = cmd.Start()
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	var failure string
	if err := json.NewDecoder(r).Decode(&failure); err != nil {
		return fmt.Errorf("the process that was to keep the devices ended without a word (%w): %w", err, cmd.Wait())
	}
	if failure != "" {
		_ = cmd.Wait() // it said why
		return errors.New(failure)
	}
	return cmd.Process.Release()
}

// keep has the devices until it is told to end.
func keep(bin, dir string) error {
	const answer = 3 // of ExtraFiles
	syscall.CloseOnExec(answer)
	out := os.NewFile(answer, "answer")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	devices, err := prepare(ctx, bin, dir)
	said := ""
	if err != nil {
		said = err.Error()
	}
	if err := errors.Join(err, json.NewEncoder(out).Encode(said), out.Close()); err != nil {
		if devices != nil {
			err = errors.Join(err, devices.Stop())
		}
		return err
	}
	<-ctx.Done()
	return devices.Stop()
}

// prepare starts the devices, makes what is not made yet and writes down what runs.
// The devices are to be stopped also when there is an error.
func prepare(ctx context.Context, bin, dir string) (*sim.Devices, error) {
	devices, err := sim.StartDevices(dir, cardSerial)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "sealward.hcl")); errors.Is(err, fs.ErrNotExist) {
		if _, _, err := makeDevices(ctx, bin, dir, devices, configText+devicesConfig, policyText+devicesPolicy, upKeys); err != nil {
			return devices, err
		}
	}
	return devices, write(dir, map[string]int{keeper: os.Getpid(), "swtpm": devices.TPM.PID(), "pcscd": devices.Reader.PID()})
}

// makeDevices makes the keys, and a set-up that uses them, as [makeHost] does.
func makeDevices(ctx context.Context, bin, dir string, d *sim.Devices, config, policy string, keys []sim.KeyToMake) (*sim.SoftHSMToken, map[string]signer.PublicKey, error) {
	token, made, err := makeHost(bin, dir, config, policy, keys)
	if err != nil {
		return nil, nil, err
	}
	worker, err := program(bin, "sealward-worker")
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	auth := []byte(rand.Text())
	file, err := d.MakeKeys(ctx, worker, filepath.Join(dir, "pin-setup.json"), auth)
	if err != nil {
		return nil, nil, err
	}
	for name, text := range map[string]string{"tpm.auth": string(auth) + "\n", "chip.key": file, "card.pin": sim.CardPIN + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, nil, err
		}
	}
	return token, made, nil
}
