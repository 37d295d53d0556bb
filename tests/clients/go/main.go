// franz-go against one broker: a cooperative group, and transactions from topic to topic.
//
// usage: franz-go group BOOTSTRAP TOPIC GROUP FIRST COUNT
//
//	franz-go transactions BOOTSTRAP FROM TO GROUP COUNT
//
// Ends with status 1 and says why if any check fails.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

const (
	partitions = 6
	keys       = 24
	deadline   = 60 * time.Second
)

func main() {
	words := os.Args[1:]
	if len(words) != 6 {
		fail("six arguments, not %d", len(words))
	}
	switch words[0] {
	case "group":
		group(words[1], words[2], words[3], number(words[4]), number(words[5]))
	case "transactions":
		transactions(words[1], words[2], words[3], words[4], number(words[5]))
	default:
		fail("group or transactions, not %s", words[0])
	}
}

func number(word string) int {
	n, err := strconv.Atoi(word)
	must(err, word)
	return n
}

func keyOf(n int) string { return fmt.Sprintf("key-%d", n%keys) }

func fail(format string, words ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", words...)
	os.Exit(1)
}

func must(err error, what string) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

func withDeadline() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), deadline)
}

// A state is what members report and the main course waits for.
type state struct {
	lock    sync.Mutex
	changed *sync.Cond
	late    bool
}

func newState() *state {
	s := &state{}
	s.changed = sync.NewCond(&s.lock)
	return s
}

func (s *state) change(how func()) {
	s.lock.Lock()
	defer s.lock.Unlock()
	how()
	s.changed.Broadcast()
}

// Waits until the condition holds, which is asked after each change.
func (s *state) reach(what string, holds func() bool) {
	timer := time.AfterFunc(deadline, func() { s.change(func() { s.late = true }) })
	defer timer.Stop()
	s.lock.Lock()
	defer s.lock.Unlock()
	for !holds() {
		if s.late {
			fail("not reached: %s", what)
		}
		s.changed.Wait()
	}
}
