// Says hello to the name in the client's certificate: server PORT FOLDER [--one-way]
package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"slices"
	"time"

	"inprocess/live"
)

func main() {
	port, folder := os.Args[1], os.Args[2]
	files, err := live.Open(folder, true, !slices.Contains(os.Args, "--one-way"))
	if err != nil {
		log.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:"+port, &tls.Config{
		MinVersion:         tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return files.Now(), nil },
	})
	if err != nil {
		log.Fatal(err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go answer(connection.(*tls.Conn))
	}
}

func answer(connection *tls.Conn) {
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := bufio.NewReader(io.LimitReader(connection, 1000)).ReadString('\n'); err != nil {
		refused(connection, err)
		return
	}
	name := "nobody" // the handshake is over: the state can be believed
	if peers := connection.ConnectionState().PeerCertificates; len(peers) > 0 && len(peers[0].DNSNames) > 0 {
		name = peers[0].DNSNames[0]
	}
	if _, err := fmt.Fprintf(connection, "hello %s\n", name); err != nil {
		refused(connection, err)
	}
}

func refused(connection net.Conn, err error) {
	log.Printf("refused: %s: %v", connection.RemoteAddr(), err)
}
