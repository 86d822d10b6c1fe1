// Prints what the server answers: client PORT FOLDER [--one-way] [--loop]
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
	log.SetFlags(0)
	port, folder := os.Args[1], os.Args[2]
	files, err := live.Open(folder, !slices.Contains(os.Args, "--one-way"), true)
	if err != nil {
		log.Fatal(err)
	}
	for {
		if err := ask(port, files.Now()); err != nil {
			log.Fatal("refused: ", err)
		}
		if !slices.Contains(os.Args, "--loop") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// ask opens a connection of its own. The name that is dialled is the name that the server must have.
func ask(port string, config *tls.Config) error {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	connection, err := tls.DialWithDialer(dialer, "tcp", "localhost:"+port, config)
	if err != nil {
		return err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintln(connection, "hello"); err != nil {
		return err
	}
	answer, err := bufio.NewReader(io.LimitReader(connection, 1000)).ReadString('\n')
	if err != nil { // in TLS 1.3 a server that does not take our certificate says so only now
		return err
	}
	fmt.Print(answer)
	return nil
}
