package main

import (
	"testing"

	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

func TestFineBalance_doesNotAllocatePerEvent(t *testing.T) {
	events := puptest.ReadEvents(t, "testdata/fines.jsonl")
	once := puptest.AllocsPerBatch(t, events...)
	twice := puptest.AllocsPerBatch(t, append(events, events...)...)
	if twice > once {
		t.Errorf("a batch allocates %v times, one twice as long %v times", once, twice)
	}
}

func BenchmarkFineBalance(b *testing.B) {
	puptest.Benchmark(b, puptest.ReadEvents(b, "testdata/fines.jsonl")...)
}
