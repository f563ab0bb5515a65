package typed

import (
	"strconv"

	"github.com/pupwasm/pupwasm/guest-sdk/json"
)

// AppendDecimal appends value / 10^decimals as a JSON number with that many decimals: 12.50 for 1250 and 2. It is what
// encoding/json writes of a type that is marked with //pup:decimals.
func AppendDecimal(dst []byte, value int64, decimals int) []byte {
	digits := strconv.AppendUint(make([]byte, 0, 20), magnitude(value), 10)
	if value < 0 {
		dst = append(dst, '-')
	}
	for len(digits) <= decimals {
		digits = append([]byte{'0'}, digits...)
	}
	whole := len(digits) - decimals
	dst = append(dst, digits[:whole]...)
	if decimals > 0 {
		dst = append(dst, '.')
		dst = append(dst, digits[whole:]...)
	}
	return dst
}

// magnitude is the value without its sign, of the least integer too.
func magnitude(value int64) uint64 {
	if value < 0 {
		return -uint64(value)
	}
	return uint64(value)
}

// ParseDecimal reads a JSON number as AppendDecimal writes it, or in any other form that is exact. null leaves the value
// as it is.
func ParseDecimal(text []byte, decimals int, into *int64) error {
	r := json.NewReader(text)
	if r.Null() {
		return r.Err()
	}
	value := r.Decimal(decimals)
	if err := r.Err(); err != nil {
		return err
	}
	*into = value
	return nil
}
