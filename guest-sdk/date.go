package pup

const microsPerDay = 86_400_000_000

// dateSize is the length of 2006-01-02.
const dateSize = 10

// AppendDate appends the day in UTC of a time in microseconds since 1970-01-01, in the form 2006-01-02, without
// package time. It knows the years 0 to 9999, like that form.
func AppendDate(dst []byte, micros int64) []byte {
	var date [dateSize]byte
	putDate(&date, micros)
	return append(dst, date[:]...)
}

func putDate(dst *[dateSize]byte, micros int64) {
	days := micros / microsPerDay
	if micros%microsPerDay < 0 {
		days-- // round down, also before 1970
	}
	// Howard Hinnant's civil_from_days: years begin in March, so that the leap day comes last.
	days += 719_468
	era := days / 146_097
	if days < 0 {
		era = (days - 146_096) / 146_097
	}
	dayOfEra := days - era*146_097
	yearOfEra := (dayOfEra - dayOfEra/1460 + dayOfEra/36_524 - dayOfEra/146_096) / 365
	dayOfYear := dayOfEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	shifted := (5*dayOfYear + 2) / 153
	day := dayOfYear - (153*shifted+2)/5 + 1
	month, year := shifted+3, yearOfEra+era*400
	if month > 12 {
		month -= 12
		year++
	}
	*dst = [dateSize]byte{
		digit(year / 1000), digit(year / 100), digit(year / 10), digit(year), '-',
		digit(month / 10), digit(month), '-', digit(day / 10), digit(day),
	}
}

func digit(v int64) byte { return '0' + byte(v%10) }

// scaledMax is the length of the longest number that appendScaled writes: a sign, 19 digits and a point.
const scaledMax = 21

// appendScaled appends v / 10^decimals as decimal text with all its decimals.
func appendScaled(dst []byte, v int64, decimals int) []byte {
	if decimals < 0 || decimals > 18 {
		misuse("a scaled number has 0 to 18 decimals")
	}
	unsigned := uint64(v)
	if v < 0 {
		dst = append(dst, '-')
		unsigned = -unsigned
	}
	var digits [20]byte
	at := len(digits)
	for n := 0; n <= decimals || unsigned > 0; n++ {
		at--
		digits[at] = '0' + byte(unsigned%10)
		unsigned /= 10
	}
	whole := len(digits) - decimals
	dst = append(dst, digits[at:whole]...)
	if decimals > 0 {
		dst = append(dst, '.')
		dst = append(dst, digits[whole:]...)
	}
	return dst
}
