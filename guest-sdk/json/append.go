package json

import "unicode/utf8"

// AppendString appends text as a JSON string, in quotes. Bytes that are not UTF-8 become U+FFFD.
//
//	data = append(data, `{"customer":`...)
//	data = json.AppendString(data, customer)
//	data = append(data, `}`...)
func AppendString(dst []byte, text string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', byte(c))
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = utf8.AppendRune(dst, c)
		}
	}
	return append(dst, '"')
}
