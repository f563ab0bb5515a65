package mysql_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/store/mysql"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"mysql://u:p@h/shop":                        "tcp h:3306 u p shop",
		"mariadb://u:p%40%2F@[::1]:7/shop":          "tcp [::1]:7 u p@/ shop",
		"mysql:///shop":                             "tcp 127.0.0.1:3306   shop",
		"mysql://u@h/shop?socket=/run/mysqld.sock":  "unix /run/mysqld.sock u  shop",
		"mysql://u@h/shop?timeout=1s&tls=preferred": "tcp h:3306 u  shop",
	} {
		config, err := mysql.ParseURL(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if got := strings.Join([]string{config.Net, config.Addr, config.User, config.Passwd, config.DBName}, " "); got != want {
			t.Errorf("%s is %q, want %q", url, got, want)
		}
	}
	for url, want := range map[string]string{
		"postgres://h/shop":                 "does not begin with mysql://",
		"mysql://u:s3cret@h":                "names no database",
		"mysql://u:s3cret@h/":               "names no database",
		"mysql://u:s3cret@a,b/shop":         "names several hosts",
		"mysql://u:s3cret@h:x/shop":         "cannot be read",
		"mysql://u:s3cret@h/shop?sslmode":   `unknown parameter "sslmode"`,
		"mysql://h/shop?timeout=1":          "no duration",
		"mysql://h/shop?tls=s3cret":         "use tls=true, skip-verify, preferred or false",
		"mysql://h/shop?galera=maybe":       "use galera=single-writer",
		"mysql://h/shop?tls-ca=/no/file":    "no such file",
		"mysql://h/shop?tls-ca=url_test.go": "has no certificate",
	} {
		if _, err := mysql.ParseURL(url); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error is %v, want %q", url, err, want)
		}
	}
}

// TestOpen_tls has a server with a certificate that the system does not know.
func TestOpen_tls(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("", "pupwasm-tls-") // which the user of the server may read
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(folder) })
	must(t, os.Chmod(folder, 0o755))
	ca := certificate(t, folder)
	server, err := mariadbserver.Start("ssl-cert="+folder+"/cert.pem", "ssl-key="+folder+"/key.pem")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	for parameter, want := range map[string]string{
		"tls-ca=" + ca: "", "tls=skip-verify": "", "tls=preferred": "", "tls=true": "certificate",
	} {
		db, err := mysql.OpenSQL(server.URL("mysql") + "?" + parameter)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var name, cipher string
		err = db.QueryRowContext(t.Context(), "SHOW STATUS LIKE 'Ssl_cipher'").Scan(&name, &cipher)
		switch {
		case want == "" && (err != nil || cipher == ""):
			t.Errorf("%s: cipher %q, %v", parameter, cipher, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: the error is %v, want %q", parameter, err, want)
		}
	}
}

// certificate makes a certificate of 127.0.0.1, which is its own authority, and returns its file.
func certificate(t *testing.T, folder string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pupwasm test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	path := filepath.Join(folder, "cert.pem")
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	must(t, os.WriteFile(filepath.Join(folder, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o644))
	return path
}
