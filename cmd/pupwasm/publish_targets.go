package main

import (
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/relay/jetstream"
)

// publishTarget is where messages go.
type publishTarget struct {
	projection string // whose; "" for all that have none of their own
	url        string
}

// targetList is the value of --publish: targets as they are written. It takes any text: what is wrong with it must be said
// without showing it.
type targetList []string

// targetListType is the type of the flag, for its help. A list in a file of flags is taken, too.
const targetListType = "targets"

// String has a target a line.
func (l *targetList) String() string { return strings.Join(*l, "\n") }

// Type is for the help.
func (l *targetList) Type() string { return targetListType }

// Set adds targets: one, or several with commas between them.
func (l *targetList) Set(text string) error {
	for line := range strings.SplitSeq(text, "\n") {
		*l = append(*l, splitTargets(line)...)
	}
	return nil
}

// splitTargets divides a list at those commas behind which a target begins. Commas are also between the servers of a NATS
// cluster, and in paths.
func splitTargets(list string) (targets []string) {
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		to := parsePublish(item)
		last := len(targets) - 1
		if last >= 0 && (to.scheme() == "" ||
			to.projection == "" && to.isNATS() && parsePublish(targets[last]).isNATS()) {
			targets[last] += "," + item
			continue
		}
		targets = append(targets, item)
	}
	return targets
}

var forProjection = regexp.MustCompile(`^([a-z][a-z0-9_]*)=`)

// parsePublish reads a target: [PROJECTION=]URL.
func parsePublish(text string) publishTarget {
	if found := forProjection.FindStringSubmatch(text); found != nil {
		return publishTarget{projection: found[1], url: text[len(found[0]):]}
	}
	return publishTarget{url: text}
}

// toStdout is the target for standard output.
const toStdout = "stdout"

// The schemes of targets.
var (
	natsSchemes    = []string{"nats", "tls", "ws", "wss"}
	webhookSchemes = []string{"http", "https"}
)

const fileScheme = "file"

// scheme is that of the URL, stdout among them, or "" for none that is known.
func (t publishTarget) scheme() string {
	if t.url == toStdout {
		return toStdout
	}
	scheme, rest, found := strings.Cut(t.url, ":")
	scheme = strings.ToLower(scheme)
	switch {
	case !found:
		return ""
	case scheme == fileScheme:
		return scheme
	case strings.HasPrefix(rest, "//") && (slices.Contains(natsSchemes, scheme) || slices.Contains(webhookSchemes, scheme)):
		return scheme
	}
	return ""
}

// path is that of the file, of a target that is one: file:PATH, or file:// before an absolute one.
func (t publishTarget) path() string {
	_, path, _ := strings.Cut(t.url, ":")
	if strings.HasPrefix(path, "///") {
		path = path[len("//"):]
	}
	return path
}

// checkPath refuses what names another file than it seems to.
func (t publishTarget) checkPath() error {
	switch path := t.path(); {
	case path == "":
		return usagef("--publish %s has no path: write file:PATH", t.shown())
	case strings.HasPrefix(path, "//"):
		return usagef("--publish %s names a host: write file:PATH, or file:///PATH for an absolute one", printable(t.shown()))
	case strings.TrimSpace(path) != path:
		return usagef("--publish %s has a blank before its path or behind it", printable(t.shown()))
	}
	return nil
}

// place is what targets share that are written in several ways: they are one sink.
func (t publishTarget) place() string {
	if t.scheme() != fileScheme {
		return t.url
	}
	path, err := filepath.Abs(t.path())
	if err != nil { // the folder of the process is gone
		path = t.path()
	}
	return fileScheme + ":" + path
}

func (t publishTarget) isNATS() bool    { return slices.Contains(natsSchemes, t.scheme()) }
func (t publishTarget) isWebhook() bool { return slices.Contains(webhookSchemes, t.scheme()) }

// shown is the target without what may be secret.
func (t publishTarget) shown() string {
	shown := t.url
	switch {
	case t.isNATS():
		var valid bool
		if shown, valid = jetstream.Shown(t.url); !valid {
			shown = unreadable
		}
	case t.isWebhook():
		at, err := url.Parse(t.url)
		if err != nil || at.Host == "" {
			shown = unreadable
			break
		}
		shown = at.Scheme + "://" + at.Host
		if strings.TrimSuffix(strings.TrimPrefix(t.url, shown), "/") != "" {
			shown += "/…"
		}
	case t.scheme() == "":
		shown = unreadable
	}
	if t.projection != "" {
		shown = t.projection + "=" + shown
	}
	return shown
}

const unreadable = "(cannot be read)"

// shownTargets is a list of targets without what may be secret, and whether that has left something out.
func shownTargets(list string) (shown string, had bool) {
	var targets targetList
	_ = targets.Set(list) // never fails
	texts := make([]string, len(targets))
	for i, text := range targets {
		texts[i] = parsePublish(text).shown()
		had = had || texts[i] != text
	}
	return strings.Join(texts, ","), had
}

// parse reads the targets, of which each projection has one at most, and so have all others.
func (l *targetList) parse() (targets []publishTarget, err error) {
	for _, text := range *l {
		to := parsePublish(text)
		if to.scheme() == "" {
			return nil, usagef("--publish takes [PROJECTION=]URL, with nats://…, tls://…, https://…, http://…, file:PATH or stdout as " +
				"URL")
		}
		if to.scheme() == fileScheme {
			if err := to.checkPath(); err != nil {
				return nil, err
			}
		}
		for _, other := range targets {
			switch {
			case other.projection != to.projection:
			case to.projection != "":
				return nil, usagef("--publish has two targets for projection %s", to.projection)
			default:
				return nil, usagef("--publish has two targets for all projections: put PROJECTION= before those of one; the servers " +
					"of a NATS cluster are one target, with commas between them")
			}
		}
		targets = append(targets, to)
	}
	return targets, nil
}

// takesList reports that a flag may have a list in a file of flags.
func takesList(flag *pflag.Flag) bool {
	return flag.Value.Type() == "stringArray" || flag.Value.Type() == targetListType
}
