package main

import (
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress is a progress bar, without colours. Without a terminal whose cursor moves it does nothing.
type progress struct {
	bar *progressbar.ProgressBar
}

// newProgress returns a bar over the bytes of an input; size is -1 when it is not known.
func newProgress(opts *appendOptions, size int64) *progress {
	if opts.noProgress {
		return &progress{}
	}
	what := "appending"
	if opts.check {
		what = "checking"
	}
	return newBar(opts.globalOptions, what, size, progressbar.OptionShowBytes(true),
		progressbar.OptionSetPredictTime(size > 0))
}

// newCountBar returns a bar over a number of events.
func newCountBar(globals *globalOptions, what string, total int64) *progress {
	return newBar(globals, what, total, progressbar.OptionShowCount())
}

func newBar(globals *globalOptions, what string, total int64, units ...progressbar.Option) *progress {
	if !hasCursor(globals.errs) {
		return &progress{}
	}
	return &progress{bar: progressbar.NewOptions64(total, append(units,
		progressbar.OptionSetWriter(globals.errs),
		progressbar.OptionSetDescription(what),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionFullWidth(),
	)...)}
}

func (p *progress) set(read int64) {
	if p.bar != nil {
		_ = p.bar.Set64(read)
	}
}

// clear removes the bar for a line of text; the next set draws it again.
func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// done ends the bar.
func (p *progress) done() {
	p.clear()
	p.bar = nil
}
