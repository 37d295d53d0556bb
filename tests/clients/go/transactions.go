package main

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Every third transaction is aborted, and its records are processed again.
const abortEvery = 3

// Copies every record of one topic to another, in transactions with the offsets of the group, and
// checks that a reader of committed records sees each once.
func transactions(bootstrap, from, to, group string, n int) {
	producer, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	must(err, "producer")
	defer producer.Close()
	produce(producer, from, 0, n)
	ended := copyAll(bootstrap, from, to, group, n)
	checkCopies(bootstrap, to, n)
	checkUncommitted(bootstrap, to, n, ended)
	checkCommitted(producer, from, group)
	fence(bootstrap, to)
}

func copyAll(bootstrap, from, to, group string, n int) (aborted int) {
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(bootstrap),
		kgo.TransactionalID(group+"-copier"),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(from),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequireStableFetchOffsets(),
	)
	must(err, "session")
	defer session.Close()
	ctx, cancel := withDeadline()
	defer cancel()
	for copied, turn := 0, 1; copied < n; turn++ {
		fetches := session.PollRecords(ctx, n/20)
		must(fetches.Err(), "poll")
		must(session.Begin(), "begin")
		taken := 0
		fetches.EachRecord(func(r *kgo.Record) {
			taken++
			session.Produce(ctx, &kgo.Record{Topic: to, Key: r.Key, Value: r.Value}, func(_ *kgo.Record, err error) {
				must(err, "produce in a transaction")
			})
		})
		end := kgo.TryCommit
		if turn%abortEvery == 0 {
			end = kgo.TryAbort
			// Only what was written can be seen to be aborted.
			must(session.Client().Flush(ctx), "flush")
		}
		committed, err := session.End(ctx, end)
		must(err, "end")
		if committed != bool(end) {
			fail("turn %d: wanted commit %v, was %v", turn, bool(end), committed)
		}
		if committed {
			copied += taken
		} else {
			aborted += taken
		}
	}
	return aborted
}

func checkCopies(bootstrap, to string, n int) {
	var values []int
	last := map[string]int{}
	for _, r := range readAll(bootstrap, to, kgo.ReadCommitted()) {
		v := number(string(r.Value))
		values = append(values, v)
		if string(r.Key) != keyOf(v) {
			fail("%d has the key %s", v, r.Key)
		}
		if before, ok := last[keyOf(v)]; ok && before >= v {
			fail("%s: %d after %d", keyOf(v), v, before)
		}
		last[keyOf(v)] = v
	}
	slices.Sort(values)
	if !slices.Equal(values, count(0, n)) {
		fail("%d copies for %d", len(values), n)
	}
}

// The aborted records are in the log: without them the test would show nothing.
func checkUncommitted(bootstrap, to string, n, aborted int) {
	found := len(readAll(bootstrap, to, kgo.ReadUncommitted()))
	if aborted == 0 || found != n+aborted {
		fail("%d records in the log, of them %d committed and %d aborted", found, n, aborted)
	}
}

// Reads to the ends, which are known, because nothing but markers may follow the last record.
func readAll(bootstrap, topic string, isolation kgo.IsolationLevel) (records []*kgo.Record) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(isolation),
		kgo.KeepControlRecords(),
	)
	must(err, "reader")
	defer client.Close()
	ctx, cancel := withDeadline()
	defer cancel()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	must(err, "ends")
	open := map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Offset > 0 {
			open[end.Partition] = end.Offset
		}
	})
	for len(open) > 0 {
		fetches := client.PollFetches(ctx)
		must(fetches.Err(), "read "+topic)
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				records = append(records, r)
			}
			if r.Offset+1 >= open[r.Partition] {
				delete(open, r.Partition)
			}
		})
	}
	return records
}

// A second producer with the same transactional id ends the first one's transaction.
func fence(bootstrap, to string) {
	ctx, cancel := withDeadline()
	defer cancel()
	begin := func() *kgo.Client {
		client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.TransactionalID("fenced"), kgo.DefaultProduceTopic(to))
		must(err, "transactional client")
		must(client.BeginTransaction(), "begin")
		return client
	}
	send := func(client *kgo.Client, value int) error {
		return client.ProduceSync(ctx, kgo.StringRecord(strconv.Itoa(value))).FirstErr()
	}
	old := begin()
	defer old.Close()
	must(send(old, 1), "the first producer")
	young := begin()
	defer young.Close()
	must(send(young, 2), "the second producer")
	err := send(old, 3)
	if err == nil {
		err = old.EndTransaction(ctx, kgo.TryCommit)
	}
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		fail("the first producer is not fenced: %v", err)
	}
	must(young.EndTransaction(ctx, kgo.TryCommit), "the second producer commits")
	last := readAll(bootstrap, to, kgo.ReadCommitted())
	var after []string
	for _, r := range last {
		if len(r.Key) == 0 {
			after = append(after, string(r.Value))
		}
	}
	if !slices.Equal(after, []string{"2"}) {
		fail("of the two producers there is %v", after)
	}
}
