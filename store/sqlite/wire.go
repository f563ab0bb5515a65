package sqlite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/internal/arrays"
)

// bindValue binds a value for a parameter of a type. An error that is not SQLite's says what is wrong with the value.
func (p *prepared) bindValue(place int, t store.Type, v store.Value, key bool) error {
	switch {
	case v.IsNull() && key:
		return errors.New("a key column is NULL")
	case v.IsNull():
		return p.BindNull(place)
	case !t.Accepts(v):
		return fmt.Errorf("a value is %s, declared is %s", store.Type{Kind: v.Kind, Array: v.Array}, t)
	case v.Array:
		text, err := arrays.Append(nil, t.Kind, v.Elements(), checkScalar)
		if err != nil {
			return err
		}
		return p.BindRawText(place, text)
	}
	return p.bindScalar(place, v, key)
}

func (p *prepared) bindScalar(place int, v store.Value, key bool) error {
	if err := checkScalar(v); err != nil {
		return err
	}
	switch v.Kind {
	case store.KindBool:
		return p.BindBool(place, v.Bool())
	case store.KindI64, store.KindTimestamp:
		return p.BindInt64(place, v.Int())
	case store.KindF64:
		return p.BindFloat(place, v.Float())
	case store.KindNumeric:
		text, err := numericText(v.Bytes(), key)
		if err != nil {
			return err
		}
		return p.BindRawText(place, text)
	case store.KindText, store.KindJSON:
		return p.BindRawText(place, v.Bytes())
	default:
		return p.BindBlob(place, v.Bytes())
	}
}

// checkScalar refuses what PostgreSQL refuses and SQLite would take or change in silence.
func checkScalar(v store.Value) error {
	switch v.Kind {
	case store.KindF64:
		if math.IsNaN(v.Float()) {
			return errors.New("NaN cannot be stored: SQLite would make it NULL")
		}
	case store.KindText:
		if !utf8.Valid(v.Bytes()) || bytes.IndexByte(v.Bytes(), 0) >= 0 {
			return errors.New("a text is not UTF-8 without NUL")
		}
	case store.KindJSON:
		if !json.Valid(v.Bytes()) || !utf8.Valid(v.Bytes()) || store.HasEscapedNUL(v.Bytes()) {
			return errors.New(`a json value is not JSON text without \u0000`)
		}
	case store.KindUUID:
		if len(v.Bytes()) != len(store.UUID{}) {
			return fmt.Errorf("a uuid has %d bytes", len(v.Bytes()))
		}
	}
	return nil
}

// numericText is the text that is stored: for a key the shortest, otherwise with the decimals that were given, in both
// cases without plus sign and leading zeros, as PostgreSQL prints it.
func numericText(text []byte, key bool) ([]byte, error) {
	if key {
		return store.CanonicalNumeric(text)
	}
	return store.AddNumeric(text, []byte("0"))
}

// result reads a value of a row as the declared type, or as it is stored where there is none. It copies.
func (p *prepared) result(at int, t store.Type) (store.Value, error) {
	storage := p.ColumnType(at)
	switch {
	case storage == sqlite3.NULL:
		return store.Null(), nil
	case t.Kind == store.KindNull:
		return p.stored(at, storage), nil
	case t.Array && storage == sqlite3.TEXT:
		return arrays.Decode(t.Kind, p.ColumnRawText(at))
	case t.Array:
	default:
		if v, ok := p.scalar(at, t.Kind, storage); ok {
			return v, nil
		}
	}
	return store.Value{}, fmt.Errorf("result %d is %s, declared is %s", at+1, storage, t)
}

// size is how many bytes a text or a blob has, and how many elements as an array.
func (p *prepared) size(at int, t store.Type) (bytes, elements int) {
	switch p.ColumnType(at) {
	case sqlite3.TEXT:
		text := p.ColumnRawText(at)
		if t.Array {
			elements = arrays.Count(text)
		}
		return len(text), elements
	case sqlite3.BLOB:
		return len(p.ColumnRawBlob(at)), 0
	}
	return 0, 0
}

// stored reads a value of a view, which has no declared type.
func (p *prepared) stored(at int, storage sqlite3.Datatype) store.Value {
	kind := store.KindBytes
	switch storage {
	case sqlite3.INTEGER:
		kind = store.KindI64
	case sqlite3.FLOAT:
		kind = store.KindF64
	case sqlite3.TEXT:
		if utf8.Valid(p.ColumnRawText(at)) {
			kind = store.KindText
		}
	}
	v, _ := p.scalar(at, kind, storage)
	return v
}

func (p *prepared) scalar(at int, kind store.Kind, storage sqlite3.Datatype) (v store.Value, ok bool) {
	number := storage == sqlite3.INTEGER || storage == sqlite3.FLOAT
	switch kind {
	case store.KindBool:
		return store.Bool(p.ColumnInt64(at) != 0), storage == sqlite3.INTEGER
	case store.KindTimestamp:
		return store.Timestamp(p.ColumnInt64(at)), storage == sqlite3.INTEGER
	case store.KindI64:
		return p.integer(at, storage)
	case store.KindF64:
		return store.F64(p.ColumnFloat(at)), number
	case store.KindNumeric:
		return p.numeric(at, storage)
	case store.KindText:
		text := p.ColumnBlob(at, nil)
		return store.BytesOf(kind, text), storage != sqlite3.BLOB && utf8.Valid(text)
	case store.KindJSON:
		text := p.ColumnBlob(at, nil)
		return store.BytesOf(kind, text), storage != sqlite3.BLOB && json.Valid(text)
	case store.KindUUID:
		id := p.ColumnBlob(at, nil)
		return store.BytesOf(kind, id), storage == sqlite3.BLOB && len(id) == len(store.UUID{})
	default:
		return store.BytesOf(kind, p.ColumnBlob(at, []byte{})), storage == sqlite3.BLOB
	}
}

// integer takes a float without fraction too: total() and round() give these.
func (p *prepared) integer(at int, storage sqlite3.Datatype) (store.Value, bool) {
	if storage != sqlite3.FLOAT {
		return store.I64(p.ColumnInt64(at)), storage == sqlite3.INTEGER
	}
	number := p.ColumnFloat(at)
	return store.I64(int64(number)), math.Trunc(number) == number && math.Abs(number) < 1<<63
}

// numeric takes integers and floats too: count(*) and avg() give these.
func (p *prepared) numeric(at int, storage sqlite3.Datatype) (store.Value, bool) {
	var text []byte
	switch storage {
	case sqlite3.FLOAT:
		text = strconv.AppendFloat(nil, p.ColumnFloat(at), 'f', -1, 64)
	case sqlite3.BLOB:
		return store.Value{}, false
	default:
		text = p.ColumnBlob(at, nil)
	}
	_, _, err := store.ParseNumeric(text)
	return store.BytesOf(store.KindNumeric, text), err == nil
}
