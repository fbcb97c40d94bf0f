package mailbox_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/mailbox"
)

// dovecot is a Dovecot 2.3 of its own, run without privileges in a temporary directory. Every user exists with the password
// of the emulator's mail server.
type dovecot struct {
	*mailbox.Dialer
	dir         string
	owner       *syscall.Credential // whom it runs as; nil when that is us
	imap, imaps mailbox.Server
}

// startDovecot skips the test when there is none. The lines of extra go to the end of its configuration.
func startDovecot(t testing.TB, extra string) *dovecot {
	t.Helper()
	bin := dovecotBinary(t)
	dir, err := os.MkdirTemp("", "dovecot-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &dovecot{dir: dir}
	name, group := d.become(t)
	cert := selfSigned(t, dir)
	d.Dialer = &mailbox.Dialer{AllowInsecure: true, RootCAs: x509.NewCertPool()}
	d.RootCAs.AppendCertsFromPEM(cert)
	d.imap, d.imaps = freePort(t, mailbox.None), freePort(t, mailbox.TLS)
	for _, sub := range []string{"run", "state", "home"} {
		d.mkdir(t, filepath.Join(dir, sub))
	}
	config := fmt.Sprintf(`
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/log
protocols = imap
listen = 127.0.0.1
default_internal_user = %[2]s
default_internal_group = %[3]s
default_login_user = %[2]s
ssl = yes
ssl_cert = <%[1]s/cert.pem
ssl_key = <%[1]s/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login xoauth2 oauthbearer
auth_failure_delay = 0
mail_location = maildir:~/Maildir
mail_fsync = never
mail_plugins = acl
plugin {
  acl = vfile
}
namespace inbox {
  inbox = yes
  separator = /
  mailbox Gesendet {
    special_use = \Sent
    auto = create
  }
}
passdb {
  driver = static
  mechanisms = plain login
  args = password=demo
}
userdb {
  driver = static
  args = uid=%[4]d gid=%[5]d home=%[1]s/home/%%u
}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service imap-login {
  chroot =
  inet_listener imap {
    port = %[6]d
  }
  inet_listener imaps {
    port = %[7]d
  }
}
%[8]s
`, dir, name, group, d.uid(), d.gid(), d.imap.Port, d.imaps.Port, extra)
	file := filepath.Join(dir, "dovecot.conf")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	d.run(t, bin, file)
	return d
}

func dovecotBinary(t testing.TB) string {
	for _, name := range []string{"dovecot", "/usr/sbin/dovecot"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		version, err := exec.Command(path, "--version").Output()
		if err == nil && strings.HasPrefix(string(version), "2.3.") {
			return path
		}
		t.Skipf("%s is version %q: the configuration here is for 2.3 (%v)", path, version, err)
	}
	t.Skip("there is no dovecot (Debian: dovecot-imapd)")
	return ""
}

// become decides who runs it: ourselves, or nobody when we are root, whom Dovecot gives no mail.
func (d *dovecot) become(t testing.TB) (name, group string) {
	me, err := osuser.Current()
	if err == nil && os.Getuid() == 0 {
		me, err = osuser.Lookup("nobody")
	}
	if err != nil {
		t.Skipf("no user to run dovecot as: %v", err)
	}
	uid, _ := strconv.Atoi(me.Uid)
	gid, _ := strconv.Atoi(me.Gid)
	g, err := osuser.LookupGroupId(me.Gid)
	if err != nil {
		t.Skipf("no group to run dovecot as: %v", err)
	}
	if os.Getuid() == 0 {
		d.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: false}
		if err := os.Chown(d.dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	return me.Username, g.Name
}

func (d *dovecot) uid() int {
	if d.owner != nil {
		return int(d.owner.Uid)
	}
	return os.Getuid()
}

func (d *dovecot) gid() int {
	if d.owner != nil {
		return int(d.owner.Gid)
	}
	return os.Getgid()
}

// mkdir makes a directory that belongs to the server.
func (d *dovecot) mkdir(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	for ; path != d.dir; path = filepath.Dir(path) {
		if err := os.Chown(path, d.uid(), d.gid()); err != nil {
			t.Fatal(err)
		}
	}
}

// run starts the master process, waits until it answers and ends it with the test.
func (d *dovecot) run(t testing.TB, bin, config string) {
	t.Helper()
	cmd := exec.Command(bin, "-F", "-c", config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: d.owner, Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // the group that it leads: alone it would give its children a second
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
		}
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(d.dir, "log"))
			t.Logf("dovecot's log:\n%s", log)
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err := d.VerifyIMAP(ctx, d.imap, login(), nil)
		cancel()
		if err == nil {
			return
		}
		select {
		case err := <-ended:
			ended <- err
			log, _ := os.ReadFile(filepath.Join(d.dir, "log"))
			t.Fatalf("dovecot ended: %v\n%s", err, log)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// fill writes mails from..to into INBOX, as a delivery agent does: the server is not asked.
func (d *dovecot) fill(t testing.TB, from, to int) {
	t.Helper()
	dir := filepath.Join(d.dir, "home", user, "Maildir")
	for _, sub := range []string{"cur", "new", "tmp"} {
		d.mkdir(t, filepath.Join(dir, sub))
	}
	for i := from; i <= to; i++ {
		name := fmt.Sprintf("%d.M%06dP1.test", 1_700_000_000+i, i)
		if err := os.WriteFile(filepath.Join(dir, "tmp", name), []byte(raw(i)), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "tmp", name), filepath.Join(dir, "new", name)); err != nil {
			t.Fatal(err)
		}
	}
}

// freePort is one that was free a moment ago, of those that no system hands out by itself, so that it stays so.
func freePort(t testing.TB, security mailbox.Security) mailbox.Server {
	for range 100 {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+mathrand.IntN(10_000)))
		if err != nil {
			continue
		}
		defer ln.Close()
		at := address(ln)
		at.Security = security
		return at
	}
	t.Fatal("no free port from 20000 to 29999")
	return mailbox.Server{}
}

// selfSigned writes a certificate for 127.0.0.1 and its key into dir, and returns the certificate.
func selfSigned(t testing.TB, dir string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	for name, content := range map[string][]byte{"cert.pem": cert, "key.pem": private} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tls.X509KeyPair(cert, private); err != nil {
		t.Fatal(err)
	}
	return cert
}
