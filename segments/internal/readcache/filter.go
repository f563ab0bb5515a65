package readcache

import (
	"slices"

	"github.com/pupwasm/pupwasm/store"
)

// filter decides in memory what [store.Reader] decides in SQL: names by exact comparison, streams by their hash.
type filter struct {
	streams                              store.HashRange
	contexts, aggregateTypes, eventTypes names
}

func newFilter(subscription store.Subscription, streams store.HashRange) filter {
	return filter{
		streams: streams, contexts: newNames(subscription.BoundedContexts),
		aggregateTypes: newNames(subscription.AggregateTypes), eventTypes: newNames(subscription.EventTypes),
	}
}

func (f *filter) match(event *store.RecordedEvent) bool {
	return f.streams.Contains(event.PartitionHash) &&
		f.contexts.has(event.BoundedContext) && f.aggregateTypes.has(event.AggregateType) && f.eventTypes.has(event.Type)
}

// names is a list of names, of which an empty one means all.
type names struct {
	few  []string
	many map[string]bool
}

func newNames(list []string) names {
	if len(list) <= fewNames {
		return names{few: list}
	}
	many := make(map[string]bool, len(list))
	for _, name := range list {
		many[name] = true
	}
	return names{many: many}
}

func (n *names) has(name string) bool {
	switch {
	case n.many != nil:
		return n.many[name]
	case len(n.few) == 0:
		return true
	}
	return slices.Contains(n.few, name)
}
