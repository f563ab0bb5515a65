// Command search searches for the programs whose fuel costs the most time, and continues from those that it
// has found before. It ends after the time that it is given, and may be interrupted at any time.
//
//	go run ./host/meter/internal/worst/search -time 1h
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/host/meter/internal/worst"
	"github.com/pupwasm/pupwasm/internal/clock"
)

const (
	fuelTried    = 1_500_000 // of a program that was never run
	fuelMeasured = 10_000_000
	timeTried    = 300 * time.Millisecond
	timeMeasured = 3 * time.Second
	roundFuelMax = 200_000_000
	codeBytesMax = 400_000
	measurements = 3 // of which the fastest counts, since others use the caches too
	shrinks      = 60
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "search:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	folder := flag.String("corpus", "host/meter/internal/worst/corpus",
		"the `folder` with known/, which stays, and found/, where the best are kept")
	limit := flag.Duration("time", time.Minute, "how long to search; 0 notes the fuel of all programs and ends")
	best := flag.Int("best", 12, "how many programs to keep")
	without := flag.String("without", "", "building `blocks` to leave out, with commas between, so that others come to light")
	seed := flag.Uint64("seed", rand.Uint64(), "where chance begins")
	flag.Parse()
	engine, err := worst.NewEngine(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = engine.Close(context.Background()) }()
	s := &search{
		engine: engine, found: filepath.Join(*folder, "found"), best: *best,
		random: rand.New(rand.NewPCG(*seed, 0)),
	}
	if *without != "" {
		s.without = strings.Split(*without, ",")
	}
	if *limit == 0 {
		for _, sub := range []string{"known", "found"} {
			if err := s.noteFuel(ctx, filepath.Join(*folder, sub)); err != nil {
				return err
			}
		}
		return nil
	}
	fmt.Println("seed", *seed)
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	if err := s.read(ctx, filepath.Join(*folder, "known")); err != nil {
		return err
	}
	if err := s.read(ctx, s.found); err != nil {
		return err
	}
	return s.loop(ctx)
}

// candidate is a program with what it takes.
type candidate struct {
	program *worst.Program
	name    string
	result  worst.Result
	found   bool // by a search
}

// score is the nanoseconds of a unit, or the milliseconds of the longest slice: both have the same bar.
func (c *candidate) score() float64 {
	return max(c.result.NanosUnit(), float64(c.result.Longest.Microseconds())/1000)
}

type search struct {
	engine *worst.Engine
	found  string
	best   int
	random *rand.Rand
	pool   []*candidate // the worst ones first
	tried  int

	without []string // building blocks
}

// leavesOut tells whether a program has a building block that is left out.
func (s *search) leavesOut(p *worst.Program) bool {
	return slices.ContainsFunc(strings.Split(p.Shape(), "_"),
		func(op string) bool { return slices.Contains(s.without, op) })
}

// noteFuel writes down the fuel of a round of every program of a folder.
func (s *search) noteFuel(ctx context.Context, folder string) error {
	programs, err := worst.ReadCorpus(folder)
	if err != nil {
		return err
	}
	for name, p := range programs {
		if p.RoundFuel, err = s.engine.RoundFuel(ctx, p, roundFuelMax); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := p.Save(folder, name); err != nil {
			return err
		}
	}
	return nil
}

// read measures the programs of a folder, to begin with.
func (s *search) read(ctx context.Context, folder string) error {
	programs, err := worst.ReadCorpus(folder)
	if err != nil {
		return err
	}
	for name, p := range programs {
		if ctx.Err() != nil {
			return nil
		}
		if s.leavesOut(p) && folder != s.found {
			continue
		}
		result, err := s.engine.Measure(ctx, p, fuelTried, timeTried)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		c := &candidate{program: p, name: name, result: result, found: folder == s.found}
		s.pool = append(s.pool, c)
	}
	s.sort()
	return nil
}

func (s *search) sort() {
	slices.SortFunc(s.pool, func(a, b *candidate) int { return cmp.Compare(b.score(), a.score()) })
}

// measure runs a program several times.
func (s *search) measure(ctx context.Context, p *worst.Program) (*candidate, error) {
	c := &candidate{program: p}
	for n := range measurements {
		result, err := s.engine.Measure(ctx, p, fuelMeasured, timeMeasured)
		if err != nil {
			return nil, err
		}
		if n == 0 || result.NanosUnit() < c.result.NanosUnit() {
			result.Longest = min(result.Longest, cmp.Or(c.result.Longest, result.Longest))
			c.result = result
		} else {
			c.result.Longest = min(result.Longest, c.result.Longest)
		}
	}
	return c, nil
}

func (s *search) loop(ctx context.Context) error {
	told := clock.Now()
	for ctx.Err() == nil {
		if err := s.try(ctx, s.next()); err != nil {
			return err
		}
		if clock.Since(told) > 10*time.Second {
			told = clock.Now()
			s.tell()
		}
	}
	s.tell()
	return nil
}

func (s *search) tell() {
	fmt.Printf("%d programs; the worst:", s.tried)
	for _, c := range s.pool[:min(3, len(s.pool))] {
		fmt.Printf(" %s %.1f ns/unit, %.1f ms/slice;", c.name, c.result.NanosUnit(),
			float64(c.result.Longest.Microseconds())/1000)
	}
	fmt.Println()
}

// next is a program to try: mostly one of the worst with a change.
func (s *search) next() *worst.Program {
	if len(s.pool) == 0 || s.random.IntN(5) == 0 {
		return worst.Random(s.random)
	}
	return worst.Mutate(s.random, s.pool[s.random.IntN(1+s.random.IntN(len(s.pool)))].program)
}

// bar is what a program must take to be kept.
func (s *search) bar(shape string) float64 {
	found := 0
	for _, c := range s.pool {
		if c.program.Shape() == shape {
			return c.score() * 1.05
		}
		if c.found {
			if found++; found == s.best {
				return c.score()
			}
		}
	}
	return 0
}

// try runs a program, and keeps it if it is one of the worst.
func (s *search) try(ctx context.Context, p *worst.Program) error {
	if p.Validate() != nil || s.leavesOut(p) || len(p.Build()) > codeBytesMax {
		return nil
	}
	s.tried++
	result, err := s.engine.Measure(ctx, p, fuelTried, timeTried)
	if err != nil {
		return fmt.Errorf("a program that cannot run: %w\n%s", err, p.Text())
	}
	if c := (&candidate{program: p, result: result}); c.score() < s.bar(p.Shape()) {
		return nil
	}
	c, err := s.measure(ctx, p)
	if err != nil {
		return err
	}
	if c.score() < s.bar(p.Shape()) {
		return nil
	}
	if c, err = s.shrink(ctx, c); err != nil || c.score() < s.bar(c.program.Shape()) {
		return err
	}
	if c.program.RoundFuel, err = s.engine.RoundFuel(ctx, c.program, roundFuelMax); err != nil {
		return nil // a round is too long for a test
	}
	return s.keep(c)
}

// shrink leaves out what a program does not need.
func (s *search) shrink(ctx context.Context, c *candidate) (*candidate, error) {
	tries := 0
	for again := true; again; {
		again = false
		for _, p := range c.program.Shrink() {
			if tries++; tries > shrinks || ctx.Err() != nil {
				return s.measure(ctx, c.program)
			}
			result, err := s.engine.Measure(ctx, p, fuelTried, timeTried)
			if err != nil {
				return nil, err
			}
			if smaller := (&candidate{program: p, result: result}); smaller.score() > 0.95*c.score() {
				c, again = smaller, true
				break
			}
		}
	}
	return s.measure(ctx, c.program)
}

// keep writes a program down, in place of the one of the same shape or of the least.
func (s *search) keep(c *candidate) error {
	c.name, c.found = c.program.Shape(), true
	s.pool = slices.DeleteFunc(s.pool, func(other *candidate) bool { return other.found && other.name == c.name })
	s.pool = append(s.pool, c)
	s.sort()
	if err := c.program.Save(s.found, c.name); err != nil {
		return err
	}
	found := 0
	var err error
	s.pool = slices.DeleteFunc(s.pool, func(other *candidate) bool {
		if !other.found {
			return false
		}
		if found++; found <= s.best {
			return false
		}
		err = errors.Join(err, os.Remove(filepath.Join(s.found, other.name+".json")))
		return true
	})
	return err
}
