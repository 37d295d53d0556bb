package main

import (
	"context"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

type seen struct {
	member    string
	partition int32
	offset    int64
	key       string
	value     int
}

// What the members of a group saw and own.
type ledger struct {
	*state
	records []seen
	shares  map[string]map[int32]bool
	// How many partitions were taken from a member that keeps others.
	revoked map[string]int
}

type member struct {
	name   string
	client *kgo.Client
	cancel context.CancelFunc
	ended  chan struct{}
}

func join(l *ledger, name, bootstrap, topic, group string) *member {
	take := func(owns bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
			l.change(func() {
				for _, p := range changed[topic] {
					if owns {
						l.shares[name][p] = true
					} else {
						delete(l.shares[name], p)
						l.revoked[name]++
					}
				}
			})
		}
	}
	l.change(func() { l.shares[name] = map[int32]bool{} })
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.ClientID(name),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topic),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(take(true)),
		kgo.OnPartitionsRevoked(take(false)),
		kgo.OnPartitionsLost(func(context.Context, *kgo.Client, map[string][]int32) {
			fail("%s lost partitions", name)
		}),
	)
	must(err, "client")
	running, cancel := context.WithCancel(context.Background())
	m := &member{name, client, cancel, make(chan struct{})}
	go m.run(l, running)
	return m
}

// Commits what it has seen before it asks for more.
func (m *member) run(l *ledger, running context.Context) {
	defer close(m.ended)
	for running.Err() == nil {
		fetches := m.client.PollFetches(running)
		if running.Err() == nil {
			must(fetches.Err(), m.name+" polls")
		}
		var records []seen
		fetches.EachRecord(func(r *kgo.Record) {
			records = append(records, seen{m.name, r.Partition, r.Offset, string(r.Key), number(string(r.Value))})
		})
		l.change(func() { l.records = append(l.records, records...) })
		if len(records) > 0 {
			ctx, cancel := withDeadline()
			must(m.client.CommitUncommittedOffsets(ctx), m.name+" commits")
			cancel()
		}
		m.client.AllowRebalance()
	}
}

func (m *member) leave(l *ledger) {
	m.cancel()
	<-m.ended
	m.client.CloseAllowingRebalance()
	l.change(func() { l.shares[m.name] = nil })
}

func (l *ledger) reachRecords(count int) {
	l.reach(strconv.Itoa(count)+" records", func() bool { return len(l.records) >= count })
}

// Waits until the members' shares have these sizes and cover every partition once.
func (l *ledger) reachShares(sizes ...int) {
	l.reach("shares", func() bool {
		var found, owned []int
		for _, share := range l.shares {
			if len(share) > 0 {
				found = append(found, len(share))
			}
			for p := range share {
				owned = append(owned, int(p))
			}
		}
		slices.Sort(found)
		slices.Sort(owned)
		return slices.Equal(found, sizes) && slices.Equal(owned, count(0, partitions))
	})
}

func count(first, n int) []int {
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = first + i
	}
	return numbers
}

func produce(client *kgo.Client, topic string, first, n int) {
	var records []*kgo.Record
	for _, v := range count(first, n) {
		records = append(records, &kgo.Record{Topic: topic, Key: []byte(keyOf(v)), Value: []byte(strconv.Itoa(v))})
	}
	ctx, cancel := withDeadline()
	defer cancel()
	must(client.ProduceSync(ctx, records...).FirstErr(), "produce")
}

// A group of two members that share, leave, commit, and go on where it was committed.
func group(bootstrap, topic, group string, first, n int) {
	producer, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	must(err, "producer")
	defer producer.Close()
	l := &ledger{newState(), nil, map[string]map[int32]bool{}, map[string]int{}}
	early := join(l, "early", bootstrap, topic, group)
	produce(producer, topic, first, n)
	l.reachShares(partitions)
	l.reachRecords(n)
	late := join(l, "late", bootstrap, topic, group)
	l.reachShares(partitions/2, partitions/2)
	if l.revoked["early"] != partitions/2 {
		fail("a cooperative member gave up %d partitions", l.revoked["early"])
	}
	produce(producer, topic, first+n, n)
	l.reachRecords(2 * n)
	early.leave(l)
	l.reachShares(partitions)
	produce(producer, topic, first+2*n, n)
	l.reachRecords(3 * n)
	late.leave(l)
	l.check(first, n)
	checkCommitted(producer, topic, group)
}

// Each number was seen once, in order for each key, without a gap in any partition.
func (l *ledger) check(first, n int) {
	var values []int
	lastOfKey := map[string]int{}
	lastOfPartition := map[int32]int64{}
	tookPart := map[string]bool{}
	for i, r := range l.records {
		values = append(values, r.value)
		if r.key != keyOf(r.value) {
			fail("%v: the key is wrong", r)
		}
		if last, ok := lastOfKey[r.key]; ok && last >= r.value {
			fail("%v after %d", r, last)
		}
		lastOfKey[r.key] = r.value
		if last, ok := lastOfPartition[r.partition]; ok && last+1 != r.offset {
			fail("%v after offset %d", r, last)
		}
		lastOfPartition[r.partition] = r.offset
		if i >= n && i < 2*n {
			tookPart[r.member] = true
		}
	}
	slices.Sort(values)
	if !slices.Equal(values, count(first, 3*n)) {
		fail("%d records for %d", len(values), 3*n)
	}
	if len(tookPart) != 2 {
		fail("took part: %v", tookPart)
	}
}

func checkCommitted(client *kgo.Client, topic, group string) {
	ctx, cancel := withDeadline()
	defer cancel()
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, topic)
	must(err, "ends")
	committed, err := admin.FetchOffsets(ctx, group)
	must(err, "offsets")
	for p := range int32(partitions) {
		end, _ := ends.Lookup(topic, p)
		at, _ := committed.Lookup(topic, p)
		if at.Err != nil || at.At != end.Offset {
			fail("partition %d: committed %v, end %d", p, at, end.Offset)
		}
	}
	described, err := admin.DescribeGroups(ctx, group)
	must(err, "describe")
	if state := described[group].State; state != "Empty" {
		fail("the group is %s", state)
	}
}
