package main_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/pgtest"
)

// TestRun_killedAtRandomMomentsAppliesEveryEventOnce compares the table that many killed hosts have made with sums that
// are made without pupwasm, row by row, over the beginning of the road-traffic fines log, and over the whole of it with
// PUPWASM_CHAOS.
func TestRun_killedAtRandomMomentsAppliesEveryEventOnce(t *testing.T) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		log := realLog(t)
		db := postgresDatabase(pgtest.New(t))
		killAtRandom(t, db.DSN, db.DSN, log, 12)
		compareFines(t, db, sumFines(t, log))
	})
	for _, c := range []struct {
		events, rows string
		kills        int
	}{
		{onSQLite, onSQLite, 6}, {onMariaDB, onMariaDB, 6}, {onPostgres, onSQLite, 4}, {onPostgres, onMariaDB, 4}, {onMariaDB, onSQLite, 4},
	} {
		t.Run(c.events+" to "+c.rows, func(t *testing.T) {
			t.Parallel()
			log := madeLog(t, 30_000)
			db := newDatabase(t, c.rows)
			events := db
			if c.events != c.rows {
				events = newDatabase(t, c.events)
			}
			runCommand(t, events.DSN, "migrate", "up")
			events.beginAfter(t, 1<<31-3)
			killAtRandom(t, events.DSN, db.DSN, log, c.kills)
			compareFines(t, db, sumFines(t, log))
		})
	}
}

// killAtRandom imports the log into a database, runs fine_balance into another or the same, kills it again and again,
// and lets it finish.
func killAtRandom(t *testing.T, events, database, log string, kills int) {
	t.Helper()
	runCommand(t, events, "append", log)
	modules := modulesFolder(t, "fine_balance")
	random := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	for range kills {
		host := start(t, database, "run", modules, "--events", events, "--lease", "200ms", "--rebalance", "20ms", "--batch",
			"500")
		host.awaitLog(t, "projection installed")
		select {
		case <-host.exited:
			t.Fatalf("the host ended by itself: %s", host.output)
		case <-time.After(time.Duration(150+random.IntN(400)) * time.Millisecond):
		}
		host.signal(syscall.SIGKILL)
		<-host.exited
	}
	runCommand(t, database, "run", "--once", modules, "--events", events, "--lease", "200ms", "--rebalance", "20ms")
}

// fine is one row of the table.
type fine struct {
	amount, expense, paid, events int64 // cents, cents, cents, count
	last                          string
	updated                       int64 // microseconds
}

type fineLine struct {
	AggregateID string    `json:"aggregate_id"`
	EventType   string    `json:"event_type"`
	CreatedAt   time.Time `json:"created_at"`
	Payload     struct {
		Amount, Expense, PaymentAmount *json.Number
	} `json:"payload"`
}

// sumFines computes the table from the log.
func sumFines(t *testing.T, path string) map[string]fine {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	fines := map[string]fine{}
	lines := bufio.NewScanner(unpacked)
	for lines.Scan() {
		var line fineLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		f := fines[line.AggregateID]
		switch line.EventType {
		case "CreateFine", "AddPenalty":
			if line.Payload.Amount != nil {
				f.amount = cents(t, *line.Payload.Amount)
			}
		case "SendFine":
			if line.Payload.Expense != nil {
				f.expense += cents(t, *line.Payload.Expense)
			}
		case "Payment":
			if line.Payload.PaymentAmount != nil {
				f.paid += cents(t, *line.Payload.PaymentAmount)
			}
		}
		f.events++
		f.last, f.updated = line.EventType, line.CreatedAt.UnixMicro()
		fines[line.AggregateID] = f
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return fines
}

// cents reads an amount by moving its decimal point, without a float.
func cents(t *testing.T, number json.Number) int64 {
	t.Helper()
	whole, fraction, _ := strings.Cut(number.String(), ".")
	value, err := strconv.ParseInt(whole+(fraction + "00")[:2], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func compareFines(t *testing.T, db database, want map[string]fine) {
	t.Helper()
	updated := map[string]string{
		onPostgres: "(extract(epoch from updated_at) * 1000000)::bigint", onSQLite: "updated_at",
		onMariaDB: "CAST(unix_timestamp(updated_at) * 1000000 AS SIGNED)",
	}[db.kind]
	count, wrong := 0, 0
	var id string
	var f fine
	db.each(t, "SELECT fine_id, amount_cents, expense_cents, paid_cents, events, last_event, "+updated+" FROM {fine_balance}fines",
		func() {
			count++
			if f != want[id] {
				if wrong++; wrong < 5 {
					t.Errorf("fine %s is %+v, must be %+v", id, f, want[id])
				}
			}
		}, &id, &f.amount, &f.expense, &f.paid, &f.events, &f.last, &f.updated)
	if count != len(want) || wrong > 0 {
		t.Errorf("%d rows, must be %d; %d are wrong", count, len(want), wrong)
	}
	t.Logf("%d rows are right", count-wrong)
}

// realLog returns the published log if it is present, otherwise a made-up one.
func realLog(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("PUPWASM_DATA")
	if folder == "" {
		folder = filepath.Join(guestbuild.Root(t), "..", "shared", "data")
	}
	path := filepath.Join(folder, "fines.jsonl.gz")
	if _, err := os.Stat(path); err != nil {
		t.Logf("the real log is not at hand (PUPWASM_DATA names its folder), a made one stands for it: %v", err)
		return madeLog(t, realLogBeginning)
	}
	if os.Getenv("PUPWASM_CHAOS") == "" {
		return beginningOf(t, path, realLogBeginning)
	}
	return path
}

// realLogBeginning is how many events of the real log tests read, unless PUPWASM_CHAOS has them read all.
const realLogBeginning = 150_000

// beginningOf writes the first events of a log.
func beginningOf(t *testing.T, log string, events int) string {
	t.Helper()
	from, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	unpacked, err := gzip.NewReader(from)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(unpacked)
	return packedLog(t, func(to io.Writer) {
		for range events {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				t.Fatal(err)
			}
			_, _ = to.Write(line) // the packer keeps an error for its end
		}
	})
}

// packedLog makes a file of the lines that write writes.
func packedLog(t *testing.T, write func(to io.Writer)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log.jsonl.gz")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	packed := gzip.NewWriter(file)
	write(packed)
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// madeLog writes events of the same kinds as the real log.
func madeLog(t *testing.T, events int) string {
	t.Helper()
	random := rand.New(rand.NewPCG(7, 7))
	kinds := []struct{ event, field string }{
		{"CreateFine", "amount"},
		{"SendFine", "expense"},
		{"Payment", "paymentAmount"},
		{"AddPenalty", "amount"},
		{"SendForCreditCollection", ""},
	}
	return packedLog(t, func(to io.Writer) {
		for i := range events {
			kind := kinds[random.IntN(len(kinds))]
			payload := "{}"
			if kind.field != "" {
				payload = fmt.Sprintf(`{%q:%d.%02d,"vehicleClass":"A"}`, kind.field, random.IntN(500), random.IntN(100))
			}
			fmt.Fprintf(to, `{"bounded_context":"Traffic","aggregate_type":"Fine","aggregate_id":"S%d","event_type":%q,"created_at":%q,"payload":%s}`+"\n",
				random.IntN(events/4), kind.event, time.Unix(int64(1_000_000_000+i), 0).UTC().Format(time.RFC3339), payload)
		}
	})
}
