// Asks the reader what its standard input says, a word a line.
package main

import (
	"bufio"
	"fmt"
	"os"

	"github.com/gomodule/redigo/redis"

	"wechat"
)

func main() {
	connection, err := redis.Dial("tcp", os.Args[1]+":"+os.Args[2])
	if err != nil {
		panic(err)
	}
	reader := wechat.Token{Redis: connection}
	last := ""
	words := bufio.NewScanner(os.Stdin)
	for words.Scan() {
		if words.Text() == "get" {
			last, err = reader.Get()
		} else {
			last, err = reader.Report(last)
		}
		if err != nil {
			panic(err)
		}
		if last == "" {
			fmt.Println("-")
		} else {
			fmt.Println(last)
		}
	}
}
