package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// ofEmpty is the rate where requests wait, as a part of that where none does.
func (c *crowd) ofEmpty(clients int) float64 {
	return over(c.Rounds, func(r crowdRound) float64 { return r.Full[clients].PerSecond / r.Empty[clients].PerSecond })
}

// each is what one request that waits takes of the daemon's memory, in KiB.
func (c *crowd) each() float64 {
	return float64(median(c.Full.Resident)-median(c.Empty.Resident)) / float64(c.Waiting)
}

// listed is the median over listings with pages of a size.
func (c *crowd) listed(size int, value func(listing) float64) float64 {
	return over(slices.DeleteFunc(slices.Clone(c.Pages), func(l listing) bool { return l.Size != size }), value)
}

func (r *report) printCrowd(out io.Writer) {
	c := &r.Crowd
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "P-256 in SoftHSM\tclients\tsign/s\tof none waiting\tp50 ms\tp99 ms\t")
	for _, n := range crowdClients {
		for _, of := range []struct {
			what  string
			ratio float64
			rate  func(crowdRound) rate
		}{
			{"nothing waits", 1, func(r crowdRound) rate { return r.Empty[n] }},
			{fmt.Sprintf("%d requests wait", c.Waiting), c.ofEmpty(n), func(r crowdRound) rate { return r.Full[n] }},
		} {
			fmt.Fprintf(w, "%s\t%d\t%.0f\t%.2f\t%.3f\t%.2f\t\n", of.what, n, over(c.Rounds, func(r crowdRound) float64 { return of.rate(r).PerSecond }), of.ratio,
				over(c.Rounds, func(r crowdRound) float64 { return of.rate(r).P50 }), over(c.Rounds, func(r crowdRound) float64 { return of.rate(r).P99 }))
		}
	}
	w.Flush()
	fmt.Fprintf(out, "\n%d requests of %d accounts came to wait in %.1f s\n", c.Waiting, c.Accounts, c.Asking/1000)
	for _, size := range crowdPages {
		fmt.Fprintf(out, "listing them, %d on a page: %.0f ms; a page p50 %.2f ms, p99 %.2f ms\n", size, c.listed(size, func(l listing) float64 { return l.All }),
			c.listed(size, func(l listing) float64 { return l.Pages.P50 }), c.listed(size, func(l listing) float64 { return l.Pages.P99 }))
	}
	fmt.Fprintf(out, "another policy decides on all of them again: %.2f s; %.2f s while a client asks, which makes %.0f sign/s, p50 %.2f ms, p99 %.2f ms\n",
		c.Change.Took/1000, c.Busy.Took/1000, c.Busy.Client.PerSecond, c.Busy.Client.P50, c.Busy.Client.P99)
	fmt.Fprintf(out, "start to first signature: %.0f ms where nothing waits, %.0f ms with them; resident then %.1f and %.1f MiB, %.2f KiB for each\n",
		median(c.Empty.Took), median(c.Full.Took), float64(median(c.Empty.Resident))/1024, float64(median(c.Full.Resident))/1024, c.each())
}

// crowdAims are those for requests that wait.
func (r *report) crowdAims() (all []aim) {
	c := &r.Crowd
	for _, n := range crowdClients {
		all = append(all, aim{fmt.Sprintf("%d requests wait, %d clients, of none waiting", c.Waiting, n), "", c.ofEmpty(n), 0.95, true})
	}
	return all
}
