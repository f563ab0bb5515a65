package webhook

import (
	"net/url"
	"slices"
	"strings"
)

// maskedBytesMin is what a part of a URL or of a header has at least to be a secret.
const maskedBytesMin = 6

// mask puts *** for secrets, which servers may repeat, in capitals or not.
type mask struct {
	secrets []string // with small letters, longer ones first: one may have another in it
}

// newMask returns one for tokens, secrets and headers, the path and the query of the URL, and parts of them.
func newMask(at *url.URL, options *Options) *mask {
	secrets := append(strings.Fields(options.Secret), options.Token, at.RawQuery, at.Path, at.EscapedPath())
	for _, secret := range strings.Fields(options.Secret) {
		secrets = append(secrets, strings.TrimRight(strings.TrimPrefix(secret, secretPrefix), "="))
	}
	for _, values := range options.Headers {
		for _, value := range values {
			secrets = append(append(secrets, value), strings.Fields(value)...)
		}
	}
	secrets = append(secrets, strings.Split(at.Path, "/")...)
	secrets = append(secrets, strings.Split(at.EscapedPath(), "/")...)
	for _, part := range strings.Split(at.RawQuery, "&") {
		_, value, _ := strings.Cut(part, "=")
		decoded, _ := url.QueryUnescape(value)
		secrets = append(secrets, value, decoded)
	}
	for _, secret := range secrets {
		secrets = append(secrets, strings.ReplaceAll(secret, "/", `\/`)) // as some write JSON
	}
	secrets = slices.DeleteFunc(secrets, func(secret string) bool { return len(secret) < maskedBytesMin })
	for i, secret := range secrets {
		secrets[i] = smallLetters(secret)
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	return &mask{slices.Compact(secrets)}
}

// Replace returns a text without the secrets.
func (m *mask) Replace(text string) string {
	small := smallLetters(text)
	var out strings.Builder
	for i := 0; i < len(text); {
		secret := slices.IndexFunc(m.secrets, func(secret string) bool { return strings.HasPrefix(small[i:], secret) })
		if secret < 0 {
			out.WriteByte(text[i])
			i++
			continue
		}
		out.WriteString("***")
		i += len(m.secrets[secret])
	}
	return out.String()
}

// smallLetters returns an ASCII text with small letters. It keeps the length of others, too.
func smallLetters(text string) string {
	small := []byte(text)
	for i, c := range small {
		if c >= 'A' && c <= 'Z' {
			small[i] = c + 'a' - 'A'
		}
	}
	return string(small)
}
