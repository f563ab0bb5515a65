//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

const (
	seed       = 1
	moduleName = "order_messages"
	logPage    = 1000
)

func (d *demo) database() string { return filepath.Join(d.folder, "shop.db") }

// prepare makes a log with the events of a shop, and the folder of the module.
func (d *demo) prepare(ctx context.Context, module string) error {
	wasm, err := os.ReadFile(module)
	if err != nil {
		return err
	}
	modules := filepath.Join(d.folder, "modules")
	if err := os.Mkdir(modules, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(modules, moduleName+".wasm"), wasm, 0o644); err != nil {
		return err
	}
	appending := exec.CommandContext(ctx, d.program, "append", "-")
	appending.Env = d.environment()
	appending.Stdin = bytes.NewReader(shop())
	if out, err := appending.CombinedOutput(); err != nil {
		return fmt.Errorf("pupwasm append: %w: %s", err, out)
	}
	return nil
}

func (d *demo) environment() []string {
	return append(os.Environ(), "PUPWASM_DATABASE_URL=sqlite:"+d.database())
}

// shop makes up events of orders, and of users whom nobody is told of, as 'pupwasm append' reads them.
func shop() []byte {
	var lines bytes.Buffer
	random := rand.New(rand.NewPCG(seed, seed))
	event := func(aggregate, id, eventType, payload string) {
		fmt.Fprintf(&lines, `{"bounded_context":"Shop","aggregate_type":%q,"aggregate_id":%q,"event_type":%q,"payload":%s}`+"\n",
			aggregate, id, eventType, payload)
	}
	open := []string{}
	for placed := 0; placed < orders || len(open) > 0; {
		switch roll := random.IntN(10); {
		case roll < 4 && placed < orders:
			placed++
			id := fmt.Sprintf("o%05d", placed)
			open = append(open, id)
			event("Order", id, "OrderPlaced", fmt.Sprintf(`{"user_id":"u%d","total":%d.50,"currency":"EUR"}`, roll, placed))
		case roll < 8 && len(open) > 0:
			at := random.IntN(len(open))
			if random.IntN(4) == 0 {
				event("Order", open[at], "OrderPaid", fmt.Sprintf(`{"amount":%d.50,"currency":"EUR"}`, placed))
				continue
			}
			event("Order", open[at], "OrderCancelled", `{}`)
			open[at] = open[len(open)-1]
			open = open[:len(open)-1]
		default:
			event("User", fmt.Sprintf("u%d", roll), "UserLoggedIn", `{"device":"web","visit":`+strconv.Itoa(lines.Len())+`}`)
		}
	}
	return lines.Bytes()
}

// ordersLog is what the log says of the messages that are to come.
type ordersLog struct {
	events   int
	messages map[string]string // the key of each message, by its id
}

// readLog reads which events cause a message: those of orders.
func readLog(ctx context.Context, path string) (*ordersLog, error) {
	opened, err := sqlite.Open(path, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	log := &ordersLog{messages: map[string]string{}}
	request := store.ReadRequest{Limit: logPage, Range: store.FullRange(), Columns: store.AllColumns}
	for {
		horizon, err := opened.Horizon(ctx)
		if err != nil {
			return nil, err
		}
		var page store.Page
		request.Through = horizon.Position
		if err := opened.Backend().Read(ctx, request, &page); err != nil {
			return nil, err
		}
		for i := range page.Events {
			e := &page.Events[i]
			log.events++
			if e.Stream.AggregateType == "Order" {
				id := store.MessageID{Projection: moduleName, Version: 1, Position: e.Position}
				log.messages[id.String()] = e.Stream.AggregateID
			}
			request.After = e.Position
		}
		if len(page.Events) < logPage {
			return log, nil
		}
	}
}

// number writes a number with commas.
func number(n int) string {
	text := strconv.Itoa(n)
	var b strings.Builder
	for i, digit := range text {
		if i > 0 && (len(text)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return b.String()
}
