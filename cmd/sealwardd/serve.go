package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/cmd/config"
	"github.com/sealward/sealward/cmd/version"
	"github.com/sealward/sealward/ipc"
	"github.com/sealward/sealward/ipc/api"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/journal"
	"github.com/sealward/sealward/signer/receipt"
)

// daemon is the parts, wired together. They are made in the order of the fields
// and taken down in the reverse.
type daemon struct {
	log      *slog.Logger
	path     string
	worker   []string // the command of the program that drives devices
	checking bool     // nothing is to be changed

	cfg         *config.Config
	tokens      map[string]*backends.Token
	located     map[string]*backends.Key // by the key's name
	keys        []signer.ManagedKey
	journalKey  signer.Key
	policy      atomic.Pointer[inForce]
	journal     *journal.Journal
	checkpoints *signer.CheckpointSigner
	verifier    *receipt.Verifier // of checkpoints
	engine      *signer.Engine
	metrics     *metrics
	server      *ipc.Server
	started     time.Time
	begun       bool          // this start began a new journal
	trusts      bool          // the policy on disk is put in force without being asked for
	remarks     []string      // what this start found out, for notices
	stopping    chan struct{} // closed when the stop begins

	changing     sync.Mutex // held while another policy is read and put in force
	verifying    sync.Mutex // held while the journal is verified
	mu           sync.Mutex
	policyLoaded time.Time // owned by mu
	policyError  string    // why the last reload was refused; owned by mu
}

func (d *daemon) policyNow() *policy.Policy { return d.policy.Load().Policy }

// serve runs the daemon until a signal or a failure ends it.
func serve(ctx context.Context, path string, acceptTime bool, log *slog.Logger) (err error) {
	d := &daemon{log: log, path: path, started: time.Now(), stopping: make(chan struct{})}
	// A signal that comes while starting, or during a reload, is kept until it can be
	// obeyed. One reload is as good as many, and keeps no stop out.
	stops, reloads := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(stops, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(stops)
	signal.Notify(reloads, syscall.SIGHUP)
	defer signal.Stop(reloads)

	defer d.closeTokens()
	if err := d.prepare(ctx); err != nil {
		return err
	}
	if err := d.openJournal(acceptTime); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.journal.Close()) }()
	d.begun = d.journal.Size() == 0
	if err := d.removeCopies(); err != nil {
		return err
	}
	if err := d.choosePolicy(ctx); err != nil {
		return err
	}
	if err := d.makeEngine(); err != nil {
		return err
	}
	if err := d.recordStart(ctx, acceptTime); err != nil {
		return err
	}
	if err := d.makeServer(); err != nil {
		return err
	}
	return d.loop(ctx, stops, reloads)
}

// recordStart makes the configuration that matters for security a part of the
// record.
func (d *daemon) recordStart(ctx context.Context, acceptTime bool) error {
	var keys []string
	for _, k := range d.keys {
		keys = append(keys, fmt.Sprintf("%s %s %s %s", k.Info.Name, k.Info.Fingerprint, k.Info.Kinds, k.Info.Chains))
	}
	detail := fmt.Sprintf("sealwardd %s; configuration sha256:%x; private %t; time accepted %t; may freeze: %q; keys: %s",
		version.Number, d.cfg.Digest, d.cfg.Private, acceptTime, d.cfg.FreezeUsers, strings.Join(keys, ", "))
	started := signer.Event{Type: signer.EventStarted, Policy: d.policyNow().Version(), TrustsFile: trustNo, Detail: detail}
	if d.trusts {
		started.TrustsFile = trustYes
	}
	if _, err := d.journal.Adopt(ctx, started, d.policyNow().Bundle()); err != nil {
		return err
	}
	d.policyLoaded = time.Now()
	for _, n := range slices.DeleteFunc(append(d.notices(), d.onDisk()), func(n string) bool { return n == "" }) {
		d.log.Warn(n)
	}
	return nil
}

func (d *daemon) makeServer() error {
	listeners, err := ipc.Listen(d.sockets())
	if err != nil {
		return err
	}
	d.metrics = newMetrics(d)
	c := api.Config{
		Engine: d.engine, Journal: d.journal, Checkpoint: d.checkpoint, VerifierKey: d.verifier.String(), Verify: d.verifyJournal, Status: d.status,
		Limits: d.limits, Address: address, Describe: d.describe, Devices: devices{d}, Observe: d.metrics.observe, Log: d.log, Stopping: d.stopping,
	}
	d.server, err = ipc.NewServer(ipc.Config{
		Listeners: listeners, Identifier: ipc.NewIdentifier(d.cfg.Private), Limits: ipc.DefaultLimits(), Log: d.log,
		Handler: func(socket string) http.Handler {
			if socket == config.SocketMetrics {
				return d.metrics.handler()
			}
			return api.Handler(c, socket == config.SocketAdmin)
		},
		Silent: func(c signer.Caller) {
			d.engine.Malformed(context.Background(), c, "connected, and closed or timed out without a whole request")
		},
	})
	return err
}

// loop serves until it is told to stop, and then stops in good order: no new
// connections, what is in the pipeline finishes, the last checkpoint is signed.
func (d *daemon) loop(ctx context.Context, stops, reloads <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	background.Go(func() { d.signCheckpoints(ctx) })
	background.Go(func() {
		if err := ipc.Watchdog(ctx, d.log, d.alive); err != nil {
			d.log.Error("the watchdog cannot be fed", "error", err)
		}
	})
	served := make(chan error, 1)
	go func() { served <- d.server.Run(ctx) }()

	d.log.Info("ready", "version", version.Number, "keys", len(d.keys), "instance", d.journal.Instance(), "private", d.cfg.Private)
	d.notifyReady()
	for {
		select {
		case err := <-served:
			return fmt.Errorf("serve: %w", err)
		case <-reloads:
			d.reload(ctx)
		case s := <-stops:
			d.log.Info("stopping", "signal", s.String())
			return d.stop(served)
		}
	}
}

func (d *daemon) stop(served <-chan error) error {
	close(d.stopping)
	if err := ipc.NotifyStopping(); err != nil {
		d.log.Error("systemd does not take the notification", "error", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), d.cfg.StopTimeout)
	defer cancel()
	err := d.server.Shutdown(ctx)
	// A caller that takes no answer can use up the time of the first step; what is
	// owed to the record has a time of its own.
	ctx, cancel = context.WithTimeout(context.Background(), d.cfg.StopTimeout)
	defer cancel()
	err = errors.Join(err, <-served, d.engine.Close(ctx))
	if _, nerr := d.journal.Note(ctx, signer.Event{Type: signer.EventStopped}); nerr != nil {
		err = errors.Join(err, nerr)
	}
	return errors.Join(err, d.checkpoint(ctx))
}

// checkpoint signs a checkpoint of the journal if it grew since the last.
func (d *daemon) checkpoint(ctx context.Context) error {
	_, err := d.journal.Checkpoint(ctx, d.checkpoints.Public(), d.checkpoints.Sign)
	return err
}

// signCheckpoints does so at the configured interval. A failure is logged when it
// begins and when it ends.
func (d *daemon) signCheckpoints(ctx context.Context) {
	tick := time.NewTicker(d.cfg.Journal.CheckpointInterval)
	defer tick.Stop()
	failing := false
	stopping := d.stopping
	for {
		err := d.checkpoint(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			d.log.Error("checkpoints cannot be signed; signing goes on, proofs have to wait", "error", err)
		case err == nil && failing:
			d.log.Info("checkpoints are signed again")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-stopping: // callers who wait for a proof hold up the stop
			tick.Reset(min(d.cfg.Journal.CheckpointInterval, 50*time.Millisecond))
			stopping = nil
		}
	}
}

// alive is what the watchdog asks: does the journal's writer still take turns? One
// that stopped for good does, and says why to everyone who asks.
func (d *daemon) alive(ctx context.Context) error {
	_, _, err := d.journal.Lookup(ctx, "watchdog", "watchdog")
	if d.journal.Stopped() != nil {
		return nil
	}
	return err
}
