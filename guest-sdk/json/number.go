package json

import (
	"math"
	"strconv"
)

// DecimalsMax is the greatest number of decimals that Decimal takes.
const DecimalsMax = 18

// Int64 reads a number that is whole, however it is written: 12, 12.0 and 1.2e1 are the same. A fraction or an
// overflow is an error.
func (r *Reader) Int64() int64 { return r.Decimal(0) }

// Decimal reads a number and returns it times 10^decimals, exactly: Decimal(2) returns 6259 for 62.59, 6250 for
// 62.5 and 6200 for 62, which is money in cents. More decimals that are not zero are an error, as is an
// overflow; nothing is ever rounded. Decimals are 0 to DecimalsMax.
func (r *Reader) Decimal(decimals int) int64 {
	if r.state == pending && r.depth > 0 {
		if value, ok := r.shortDecimal(decimals); ok {
			r.state = done
			return value
		}
	}
	if r.Kind() != Number || uint(decimals) > DecimalsMax {
		r.mismatch("a number of 0 to 18 decimals")
		return 0
	}
	start := r.pos
	r.scanNumber()
	if r.state == failed {
		return 0
	}
	value, problem := scale(r.data[start:r.pos], decimals)
	if problem != "" {
		r.pos = start
		r.fail(problem)
		return 0
	}
	r.finish()
	return value
}

// Float64 reads a number as the nearest binary floating point number. One beyond its range is an error.
func (r *Reader) Float64() float64 {
	if r.Kind() != Number {
		r.mismatch("a number")
		return 0
	}
	start := r.pos
	r.scanNumber()
	if r.state == failed {
		return 0
	}
	value, err := strconv.ParseFloat(view(r.data[start:r.pos]), 64)
	if err != nil {
		r.pos = start
		r.fail("is beyond the range of floating point numbers")
		return 0
	}
	r.finish()
	return value
}

// Number reads a number and returns its text as it is written. It suits a numeric column when it has no exponent.
func (r *Reader) Number() string {
	if r.Kind() != Number {
		r.mismatch("a number")
		return ""
	}
	return view(r.Raw())
}

// scanNumber passes over a number and checks its form.
func (r *Reader) scanNumber() {
	data, i := r.data, r.pos
	if data[i] == '-' {
		i++
	}
	whole := i
	i = digits(data, i)
	if i == whole || data[whole] == '0' && i > whole+1 {
		r.badNumber(whole, i)
		return
	}
	if i < len(data) && data[i] == '.' {
		fraction := i + 1
		if i = digits(data, fraction); i == fraction {
			r.badNumber(i, i)
			return
		}
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		exponent := i
		if i = digits(data, exponent); i == exponent {
			r.badNumber(i, i)
			return
		}
	}
	r.pos = i
}

func (r *Reader) badNumber(start, end int) {
	if end > start {
		r.pos = start
		r.fail("a number starts with a zero")
		return
	}
	r.pos = start
	r.unexpected("a digit")
}

func digits(data []byte, i int) int {
	for i < len(data) && data[i]-'0' <= 9 {
		i++
	}
	return i
}

const (
	problemOverflow = "is a number beyond 64 bits"
	problemInexact  = "is a number with more decimals than asked for"
)

// scale returns a well-formed number times 10^decimals, or what is wrong with that.
func scale(text []byte, decimals int) (value int64, problem string) {
	negative := text[0] == '-'
	if negative {
		text = text[1:]
	}
	// place is the power of ten that a digit of the result is worth; digits below the last place have to be zero.
	place := digits(text, 0) + exponentOf(text) + decimals
	sum, overflow := uint64(0), false
	for _, c := range text {
		if c == '.' {
			continue
		}
		if c > '9' {
			break // the exponent
		}
		place--
		switch {
		case place < 0:
			if c != '0' {
				return 0, problemInexact
			}
		case sum > (math.MaxUint64-9)/10:
			overflow = true
		default:
			sum = sum*10 + uint64(c-'0')
		}
	}
	for ; place > 0 && sum != 0 && !overflow; place-- {
		overflow = sum > math.MaxUint64/10
		sum *= 10
	}
	switch {
	case overflow:
		return 0, problemOverflow
	case negative && sum <= 1<<63:
		return -int64(sum), ""
	case !negative && sum <= math.MaxInt64:
		return int64(sum), ""
	}
	return 0, problemOverflow
}

// exponentMax is beyond what any digits of a text can make up for, and far from overflow in 32 bits.
const exponentMax = 1 << 29

// exponentOf returns the exponent of a well-formed number, or 0 when it has none.
func exponentOf(text []byte) int {
	i := 0
	for i < len(text) && text[i]|0x20 != 'e' {
		i++
	}
	if i == len(text) {
		return 0
	}
	i++
	negative := text[i] == '-'
	if text[i] == '-' || text[i] == '+' {
		i++
	}
	exponent := 0
	for ; i < len(text); i++ {
		exponent = min(exponent*10+int(text[i]-'0'), exponentMax/10)
	}
	if negative {
		return -exponent
	}
	return exponent
}

// shortDecimal reads a number of the usual form, without exponent and too short to overflow, in one pass. It
// reports false, and reads nothing, for any other.
func (r *Reader) shortDecimal(decimals int) (int64, bool) {
	const digitsMax = 18 // 10^18 is below 2^63
	data, i := r.data, r.pos
	negative := at(data, i) == '-'
	if negative {
		i++
	}
	start, sum := i, uint64(0)
	for ; i < len(data) && data[i]-'0' <= 9; i++ {
		sum = sum*10 + uint64(data[i]-'0')
	}
	whole := i - start
	if whole == 0 || decimals < 0 || whole+decimals > digitsMax || data[start] == '0' && whole > 1 {
		return 0, false
	}
	left := decimals
	if i < len(data) && data[i] == '.' {
		i++
		for ; left > 0 && i < len(data) && data[i]-'0' <= 9; i++ {
			sum = sum*10 + uint64(data[i]-'0')
			left--
		}
		if left == decimals {
			return 0, false
		}
	}
	if i < len(data) && (data[i]-'0' <= 9 || data[i]|0x20 == 'e' || data[i] == '.') {
		return 0, false
	}
	for ; left > 0; left-- {
		sum *= 10
	}
	r.pos = i
	if negative {
		return -int64(sum), true
	}
	return int64(sum), true
}
