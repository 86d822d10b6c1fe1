// Package live has TLS configurations that follow their files.
package live

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Files are a key with its chain and the roots, as they are in a folder now.
type Files struct {
	own, roots string // paths; empty: not needed
	mutex      sync.Mutex
	stamps     [2]stamp
	config     *tls.Config
}

type stamp struct {
	size    int64
	changed time.Time
}

// Open reads the files of a folder once; what is wrong with them is said here, and not to the first client.
func Open(folder string, hasKey, hasRoots bool) (*Files, error) {
	files := &Files{}
	if hasKey {
		files.own = filepath.Join(folder, "identity.pem")
	}
	if hasRoots {
		files.roots = filepath.Join(folder, "roots.pem")
	}
	files.stamps = files.look()
	var err error
	files.config, err = files.read()
	return files, err
}

// Now is the configuration for a connection that begins now. It must not be changed, but cloned.
// Files that cannot be used are said in the log, and the last good ones stay.
func (files *Files) Now() *tls.Config {
	files.mutex.Lock()
	defer files.mutex.Unlock()
	if stamps := files.look(); stamps != files.stamps {
		files.stamps = stamps
		if config, err := files.read(); err != nil {
			log.Print("the certificates stay as they were: ", err)
		} else {
			files.config = config
		}
	}
	return files.config
}

func (files *Files) read() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true}
	if files.own != "" {
		content, err := os.ReadFile(files.own) // once: key and chain are of the same moment
		if err != nil {
			return nil, err
		}
		own, err := tls.X509KeyPair(content, content)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{own}
	}
	if files.roots != "" {
		content, err := os.ReadFile(files.roots)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(content) {
			return nil, errors.New("there is no certificate in " + files.roots)
		}
		config.RootCAs, config.ClientCAs = pool, pool
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}

func (files *Files) look() (found [2]stamp) {
	for i, path := range []string{files.own, files.roots} {
		if about, err := os.Stat(path); err == nil {
			found[i] = stamp{about.Size(), about.ModTime()}
		}
	}
	return found
}
