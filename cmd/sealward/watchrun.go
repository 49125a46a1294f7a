package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
)

// run gives a document to the program and waits for it. The program is the leader of a
// process group, which ends with it where it takes too long.
func (w *watcher) run(ctx context.Context, doc []byte) error {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.program[0], w.program[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(doc), w.stdout, w.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// What it left behind may hold its streams open; nobody waits for that.
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded) && err != nil:
		return fmt.Errorf("%w (after %s)", errTooLong, w.timeout)
	case errors.Is(err, exec.ErrWaitDelay): // it exited with 0
		return nil
	}
	return err
}

// happening is the document that a program gets; docs/cli.md has its fields. Integers are
// decimal text.
type happening struct {
	Version  int            `json:"version"`
	Instance string         `json:"instance"`
	Leaf     string         `json:"leaf"`
	Time     string         `json:"time"`
	Event    string         `json:"event"`
	Approver string         `json:"approver"`
	Reason   string         `json:"reason"`
	Request  *waitingObject `json:"request"` // null where it is about none
}

type waitingObject struct {
	Proposal string          `json:"proposal"`
	Leaf     string          `json:"leaf"`
	Caller   string          `json:"caller"`
	User     string          `json:"user"`
	ID       string          `json:"id"`
	Key      string          `json:"key"`
	Kind     string          `json:"kind"`
	Class    string          `json:"class"`
	State    string          `json:"state"`
	Since    string          `json:"since"`
	Due      string          `json:"due"`
	Deadline string          `json:"deadline"`
	Claim    string          `json:"claim"`
	Outflow  []outflowObject `json:"outflow"`
	Quorums  []quorumObject  `json:"quorums"`
	Warnings []warningObject `json:"warnings"`
}

type outflowObject struct {
	Kind   string `json:"kind"`
	Asset  string `json:"asset"`
	Amount string `json:"amount"`
}

type quorumObject struct {
	Rule          string   `json:"rule"`
	Limit         string   `json:"limit"`
	Group         string   `json:"group"`
	Approvals     string   `json:"approvals"`
	ExcludeCaller bool     `json:"exclude_caller"`
	Including     string   `json:"including"`
	Devices       string   `json:"devices"`
	Approved      []string `json:"approved"`
	Open          []string `json:"open"`
	Met           bool     `json:"met"`
}

type warningObject struct {
	Code     string `json:"code"`
	Severity string `json:"severity"`
	Text     string `json:"text"`
}

// document is an event on one line.
func document(instance string, ev *v1.PendingEvent) ([]byte, error) {
	h := happening{
		Version: 1, Instance: instance, Leaf: decimalText(ev.GetLeaf()), Time: when(ev.GetTime()),
		Event: ev.GetEvent(), Approver: ev.GetApprover(), Reason: ev.GetReason(),
	}
	if p := ev.GetPending(); p != nil {
		h.Request = toWaitingObject(p)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(h); err != nil {
		return nil, fmt.Errorf("event of leaf %d: %w", ev.GetLeaf(), err)
	}
	return shown(out.Bytes()), nil
}

func toWaitingObject(p *v1.Pending) *waitingObject {
	out := &waitingObject{
		Proposal: p.GetProposal(), Leaf: decimalText(p.GetLeaf()), Caller: p.GetCaller(), User: p.GetUser(), ID: p.GetId(),
		Key: p.GetKey(), Kind: p.GetKind(), Class: p.GetClass(), State: p.GetState(),
		Since: when(p.GetSince()), Due: when(p.GetDue()), Deadline: when(p.GetDeadline()), Claim: p.GetClaim(),
		Outflow: []outflowObject{}, Quorums: []quorumObject{}, Warnings: []warningObject{},
	}
	for _, q := range p.GetOutflow() {
		out.Outflow = append(out.Outflow, outflowObject{q.GetKind(), q.GetAsset(), q.GetAmount()})
	}
	for _, s := range p.GetQuorums() {
		q := s.GetQuorum()
		out.Quorums = append(out.Quorums, quorumObject{
			q.GetRule(), q.GetLimit(), q.GetGroup(), decimalText(uint64(q.GetApprovals())), q.GetExcludeCaller(), q.GetIncluding(),
			decimalText(uint64(max(1, q.GetDevices()))), append([]string{}, s.GetApproved()...), append([]string{}, s.GetOpen()...), s.GetMet(),
		})
	}
	for _, w := range p.GetWarnings() {
		out.Warnings = append(out.Warnings, warningObject{w.GetCode(), w.GetSeverity(), w.GetText()})
	}
	return out
}

func decimalText(n uint64) string { return strconv.FormatUint(n, 10) }
