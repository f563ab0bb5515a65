package eventgen

import (
	"go/types"
	"strings"
)

// findUpcasters finds the functions whose names begin with Up, and sees that every old event has one.
func (s *source) findUpcasters(events []*event) {
	by := map[*types.TypeName]*event{}
	for _, e := range events {
		by[e.name] = e
	}
	for _, v := range s.versions {
		scope := v.pkg.Types.Scope()
		for _, name := range scope.Names() {
			function, is := scope.Lookup(name).(*types.Func)
			if is && strings.HasPrefix(name, "Up") {
				s.addUpcaster(by, function)
			}
		}
	}
	s.wantUpcasters(events)
}

func (s *source) addUpcaster(by map[*types.TypeName]*event, function *types.Func) {
	from, to := signatureOf(by, function)
	if from == nil || to == nil {
		s.mistake(function.Pos(), "%s takes no event and returns no event: write 'func %s(old v1.Event) Event' with structs of "+
			"two versions, or rename it", function.Name(), function.Name())
		return
	}
	if from.version >= to.version {
		s.mistake(function.Pos(), "%s makes version %d of version %d: it has to lead to a later version", function.Name(),
			to.version, from.version)
		return
	}
	if from.up != nil {
		s.mistake(function.Pos(), "%s and %s both take %s version %d: keep one of them", from.up.function.Name(),
			function.Name(), from.stored, from.version)
		return
	}
	from.up = &upcaster{function: function, to: to}
}

// signatureOf returns the events that a function takes and returns; nil for anything else.
func signatureOf(by map[*types.TypeName]*event, function *types.Func) (from, to *event) {
	signature := function.Signature()
	if signature.Params().Len() != 1 || signature.Results().Len() != 1 || signature.Variadic() ||
		signature.TypeParams().Len() > 0 {
		return nil, nil
	}
	eventOf := func(t types.Type) *event {
		named, is := types.Unalias(t).(*types.Named)
		if !is {
			return nil
		}
		return by[named.Obj()]
	}
	return eventOf(signature.Params().At(0).Type()), eventOf(signature.Results().At(0).Type())
}

// wantUpcasters sees that all versions of an event lead to one newest.
func (s *source) wantUpcasters(events []*event) {
	for i, e := range events {
		if i+1 == len(events) || events[i+1].stored != e.stored {
			continue
		}
		next := events[i+1]
		if e.up == nil {
			s.mistake(e.name.Pos(), "%s has a version %d and no way there: write 'func Up%s(old v%d.%s) %s' in v%d", e.stored,
				next.version, next.name.Name(), e.version, e.name.Name(), next.name.Name(), next.version)
			continue
		}
		if e.newest() != next.newest() {
			s.mistake(e.name.Pos(), "%s version %d leads to %s version %d, and its version %d to %s version %d: let all versions "+
				"lead to one event", e.stored, e.version, e.newest().stored, e.newest().version, next.version,
				next.newest().stored, next.newest().version)
		}
	}
}
