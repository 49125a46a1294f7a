package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
)

// deviceRound measures a device without and then with the daemon.
type deviceRound struct {
	Raw       rate      `json:"raw"`
	Full      rate      `json:"full"`
	Processor float64   `json:"daemon_processor_ms"` // per signature
	Worker    footprint `json:"worker"`
}

const (
	// deviceClients is how many ask at once. A device that does one thing at a time is
	// kept busy by a few.
	deviceClients = 8
	rawDeviceTime = time.Second // for one raw device in a round

	// hardwareTime is what a signature takes in devices that take their time. Both are
	// programs here, and use the processor that the daemon needs, too; hardware has its
	// own, and takes longer than this.
	hardwareTime = 5 * time.Millisecond
)

// devicesHost is a host with every kind of device.
type devicesHost struct {
	host
	devices *sim.Devices
	faults  *sim.Faults // in front of SoftHSM
	server  *sim.Server // likewise
	raw     *sim.TPM    // another TPM, for who uses one without the daemon: a TPM has few slots
}

func (b *benchmark) allDevices(ctx context.Context) (err error) {
	h := &devicesHost{host: host{bin: b.bin, dir: filepath.Join(b.dir, "all")}}
	defer func() { err = errors.Join(err, h.stop()) }()
	if err := h.start(ctx); err != nil {
		return err
	}
	err = h.serve(func(pid int) error {
		if err := b.deviceRounds(ctx, h, pid, "", h.raw.Path()); err != nil {
			return err
		}
		b.report.Recovery, err = measureRecovery(ctx, h)
		return err
	})
	if err != nil {
		return err
	}
	slow, err := h.slow()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, slow.Close()) }()
	return h.serve(func(pid int) error { return b.deviceRounds(ctx, h, pid, slowly, slow.Path()) })
}

// slowly is what kinds of device begin with that take their time.
const slowly = "slow "

// slow has both devices take their time. The daemon finds the TPM elsewhere then.
func (h *devicesHost) slow() (*sim.SlowTPM, error) {
	h.devices.Card.Slow(hardwareTime)
	path := filepath.Join(h.dir, "sealward.hcl")
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), `"tpm/tpm"`, `"tpm/slow"`, 1)), 0o600); err != nil {
		return nil, err
	}
	return sim.NewSlowTPM(filepath.Join(h.dir, "tpm", "slow"), h.devices.TPM, hardwareTime)
}

// start starts the devices, and makes the set-up.
func (h *devicesHost) start(ctx context.Context) (err error) {
	if h.devices, err = sim.StartDevices(h.dir, cardSerial); err != nil {
		return err
	}
	if h.raw, err = sim.StartTPM(filepath.Join(h.dir, "raw")); err != nil {
		return err
	}
	if _, _, err := makeDevices(ctx, h.bin, h.dir, h.devices, benchConfig, benchPolicy+benchDevicesPolicy, benchKeys); err != nil {
		return err
	}
	faulty, err := h.another(ctx, "faulty")
	if err != nil {
		return err
	}
	if h.faults, err = sim.NewFaults(filepath.Dir(faulty.Conf), faulty.Module); err != nil {
		return err
	}
	served, err := h.another(ctx, "served")
	if err != nil {
		return err
	}
	if h.server, err = sim.NewServer(h.dir, served); err != nil {
		return err
	}
	config, err := os.OpenFile(filepath.Join(h.dir, "sealward.hcl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(config, benchDevicesConfig, arguments(append(h.faults.Env, faulty.Env())), h.faults.Module, arguments([]string{h.server.Env()}), h.server.Module)
	return errors.Join(err, config.Close())
}

// another makes a token of SoftHSM with one key, both of one name, in a folder of that
// name. SoftHSM writes a token's file at each login, and of processes that log in to
// the same token at the same moment one can find it without a PIN.
func (h *devicesHost) another(ctx context.Context, name string) (*sim.SoftHSMToken, error) {
	token, err := sim.SoftHSM(filepath.Join(h.dir, name), name, pin)
	if err != nil {
		return nil, err
	}
	worker, err := program(h.bin, "sealward-worker")
	if err != nil {
		return nil, err
	}
	_, err = token.MakeKeys(ctx, worker, filepath.Join(h.dir, "pin-"+name+".json"), []sim.KeyToMake{{Label: name, Algorithm: signer.AlgorithmP256}})
	return token, err
}

// arguments writes variables as those of a map in HCL.
func arguments(env []string) string {
	var all []string
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		all = append(all, fmt.Sprintf("%s = %q", name, value))
	}
	return strings.Join(all, ", ")
}

func (h *devicesHost) stop() (err error) {
	if h.server != nil {
		err = h.server.Kill()
	}
	if h.faults != nil {
		err = errors.Join(err, h.faults.Close())
	}
	if h.raw != nil {
		err = errors.Join(err, h.raw.Stop())
	}
	if h.devices != nil {
		err = errors.Join(err, h.devices.Stop())
	}
	return err
}

// deviceRounds measures each device in turn, without the daemon at a TPM's socket.
func (b *benchmark) deviceRounds(ctx context.Context, h *devicesHost, pid int, prefix, tpm string) error {
	for i := range benchRounds {
		for _, d := range []struct {
			kind, key string
			raw       job
		}{
			{"tpm", "chip", job{TPM: tpm, For: rawDeviceTime}},
			{"piv", "card", job{PCSCD: h.devices.Reader.Socket(), For: rawDeviceTime}},
		} {
			progress("round %d of %d, %s%s", i+1, benchRounds, prefix, d.kind)
			raw, err := d.raw.measure(ctx)
			if err != nil {
				return err
			}
			l, err := h.load(ctx, pid, d.key, d.key, deviceClients)
			if err != nil {
				return err
			}
			kind := prefix + d.kind
			b.report.Devices[kind] = append(b.report.Devices[kind], deviceRound{raw, l.rate, l.processor, l.worker})
		}
	}
	return nil
}
