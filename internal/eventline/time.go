package eventline

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// timeRule is RFC 3339, whose letters may be in either case. The SQL function append reads times by the same rules.
var timeRule = regexp.MustCompile(`^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))$`)

var errNotATime = errors.New("must be a time such as 2006-01-02T15:04:05.999999Z (RFC 3339)")

// ParseTime reads a time. Digits below microseconds are cut off, and a leap second is the start of the next second.
func ParseTime(text string) (time.Time, error) {
	part := timeRule.FindStringSubmatch(text)
	if part == nil {
		return time.Time{}, errNotATime
	}
	number := func(i int) int {
		n, _ := strconv.Atoi(part[i]) // two or four digits, or nothing
		return n
	}
	year, month, day, hour, minute, second := number(1), number(2), number(3), number(4), number(5), number(6)
	if month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 60 || number(9) > 23 || number(10) > 59 {
		return time.Time{}, errNotATime
	}
	at := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	if year > 0 && time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Day() != day {
		return time.Time{}, fmt.Errorf("has the day %d, which its month does not have", day)
	}
	zone := time.Duration(number(9))*time.Hour + time.Duration(number(10))*time.Minute
	if part[8] == "-" {
		zone = -zone
	}
	at = at.Add(-zone)
	switch {
	case second < 60:
		micros, _ := strconv.Atoi((part[7] + "000000")[:6])
		at = at.Add(time.Duration(micros) * time.Microsecond)
	case at.Day() != 1 || at.Hour() != 0 || at.Minute() != 0:
		return time.Time{}, errors.New("has the second 60, which only the last minute of a month has, in UTC")
	}
	switch {
	case at.IsZero():
		return time.Time{}, errors.New("means no time: leave it out to take the time of the append")
	// Databases disagree about year 0.
	case year == 0 || at.Year() < 1 || at.Year() > 9999:
		return time.Time{}, errors.New("is out of range: the years go from 1 to 9999")
	}
	return at, nil
}
