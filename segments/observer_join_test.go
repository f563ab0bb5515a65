package segments_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/pupwasm/pupwasm/segments"
)

// TestJoinObservers_tellsEach calls every function that an observer can have.
func TestJoinObservers_tellsEach(t *testing.T) {
	t.Parallel()
	var told []string
	full := func(name string) *segments.Observer {
		observer := &segments.Observer{}
		of := reflect.ValueOf(observer).Elem()
		for i := range of.NumField() {
			field := of.Field(i)
			if field.Kind() != reflect.Func {
				continue
			}
			field.Set(reflect.MakeFunc(field.Type(), func([]reflect.Value) []reflect.Value {
				told = append(told, name)
				return nil
			}))
		}
		return observer
	}
	joined := reflect.ValueOf(segments.JoinObservers(full("first"), nil, &segments.Observer{}, full("second"))).Elem()
	for i := range joined.NumField() {
		if joined.Field(i).Kind() != reflect.Func {
			continue
		}
		told = nil
		joined.Field(i).Call([]reflect.Value{reflect.Zero(joined.Field(i).Type().In(0))})
		if !slices.Equal(told, []string{"first", "second"}) {
			t.Errorf("%s tells %v", joined.Type().Field(i).Name, told)
		}
	}
	none := reflect.ValueOf(segments.JoinObservers(nil, &segments.Observer{})).Elem()
	for i := range none.NumField() {
		if none.Field(i).Kind() == reflect.Func && !none.Field(i).IsNil() {
			t.Errorf("%s is set, and nobody wants it", none.Type().Field(i).Name)
		}
	}
}
