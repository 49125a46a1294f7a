package main

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
)

// A limit that counts by recipient or asset has no one sum, and none is shown.
func TestLimitsSayWhatTheyCountBy(t *testing.T) {
	day := durationpb.New(24 * time.Hour)
	var b strings.Builder
	err := showLimits(&b, []*v1.LimitState{
		{Key: "hot", Rule: "r", Limit: "all", Asset: coin, AssetName: "eth", Decimals: 18, Window: day, Max: "2000000000000000000", Spent: "1500000000000000000", Left: "500000000000000000", Frees: noon},
		{Key: "hot", Rule: "r", Limit: "mine", Asset: "requests", Window: day, Max: "10", Spent: "1", Left: "9", Per: "caller"},
		{Key: "hot", Rule: "r", Limit: "to each", Asset: coin, AssetName: "eth", Decimals: 18, Window: day, Max: "1000000000000000000", Per: "recipient"},
		{Key: "hot", Rule: "r", Limit: "at once", Asset: coin, AssetName: "eth", Decimals: 18, Max: "1000000000000000000", Per: "recipient"},
		{Key: "hot", Rule: "r", Limit: "of each", Asset: "requests", Window: day, Max: "3", Per: "asset"},
	})
	const want = `KEY  RULE  LIMIT    MOST                PER        SPENT       LEFT        NEXT FREES
hot  r     all      2 eth in 24h                   1.5 eth     0.5 eth     2026-11-23T12:00:00Z
hot  r     mine     10 requests in 24h  caller     1 requests  9 requests
hot  r     to each  1 eth in 24h        recipient
hot  r     at once  1 eth per request   recipient
hot  r     of each  3 requests in 24h   asset
`
	if got := b.String(); err != nil || got != want {
		t.Errorf("showLimits = %v:\n%s\nwant\n%s", err, got, want)
	}
}
