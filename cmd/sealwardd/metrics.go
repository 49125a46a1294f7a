package main

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what Prometheus reads from the socket of that name. No label holds
// anything that a caller chose.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
}

func newMetrics(d *daemon) *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "sealward_request_seconds", Help: "Time to answer a request, by method and by the code of the answer.",
		Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .25, .5, 1, 2.5, 10, 30},
	}, []string{"method", "code"})}
	gauge := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	m.registry.MustRegister(m.requests, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	gauge("sealward_journal_leaves", "Leaves in the journal.", func() float64 { return float64(d.journal.Size()) })
	gauge("sealward_journal_checkpoint_leaves", "Leaves that the latest checkpoint covers.", func() float64 {
		c, _ := d.journal.Latest()
		return float64(c.Size)
	})
	gauge("sealward_journal_stopped", "1 when the journal stopped and nothing is signed until a restart.", func() float64 {
		return truth(d.journal.Stopped() != nil)
	})
	gauge("sealward_journal_time_behind_seconds", "How far journal time is held behind the wall clock.", func() float64 {
		behind, _ := d.journal.TimeHeld()
		return behind.Seconds()
	})
	gauge("sealward_policy_reload_refused", "1 when the policy on disk was refused and an older one is in force.", func() float64 {
		d.mu.Lock()
		defer d.mu.Unlock()
		return truth(d.policyError != "")
	})
	gauge("sealward_frozen", "1 while nothing is signed until approvers thaw it.", func() float64 { return truth(d.engine.Frozen() != "") })
	gauge("sealward_requests_waiting", "Requests that wait for approvals, or for time to pass.", func() float64 {
		all, err := d.engine.AllWaiting(context.Background())
		if err != nil {
			return math.NaN()
		}
		return float64(len(all))
	})
	for name, t := range d.tokens {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sealward_token_available", Help: "1 while a token can sign.", ConstLabels: prometheus.Labels{"token": name},
		}, func() float64 { return truth(t.Health().Up) }))
	}
	return m
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// observe takes the time of one request.
func (m *metrics) observe(method, code string, took time.Duration) {
	m.requests.WithLabelValues(method, code).Observe(took.Seconds())
}

func (m *metrics) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{DisableCompression: true, MaxRequestsInFlight: 4}))
	return mux
}
