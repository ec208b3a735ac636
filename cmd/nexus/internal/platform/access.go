package platform

import (
	"nexus.internal/libs/contract"
	"nexus.internal/libs/embed/embednats"
)

// admin is the NATS user that creates streams and consumers.
const admin = "admin"

// natsUsers lists the NATS users of the platform: one for each service and one
// for provisioning.
func natsUsers() []string { return append(Services(), admin, calloutUser, systemUser) }

// calloutUser answers the server's question who a client is.
const calloutUser = "callout"

// systemUser may end connections of clients whose key has changed, and nothing
// else.
const systemUser = "system"

// inboxPrefix keeps the answers to one service apart from those to another.
func inboxPrefix(service string) string { return contract.InboxPrefix(service) }

// consumer is a durable consumer that a service reads.
type consumer struct{ stream, durable string }

// reads lists the consumers of a service.
func reads(service string) []consumer {
	lanes := func(queue string) (out []consumer) {
		for _, lane := range contract.Lanes() {
			out = append(out, consumer{contract.StreamRuns, contract.RunConsumer(queue, lane.Priority)})
		}
		return out
	}
	switch service {
	case "jobs":
		return append(lanes(contract.QueueBench), consumer{contract.StreamCommands, contract.ConsumerRecorder})
	case "corpus":
		return lanes(contract.QueueCorpus)
	case "plugins":
		return lanes(contract.QueuePlugins)
	case "audit":
		return []consumer{{contract.StreamEvents, contract.ConsumerAudit}, {contract.StreamDead, contract.ConsumerDead}}
	case "webhooks":
		return []consumer{{contract.StreamEvents, contract.ConsumerWebhooks}}
	case "gateway":
		return []consumer{{contract.StreamSubmit, contract.ConsumerDoor}}
	}
	return nil
}

// permissions is what a service may say and hear on NATS; everything else is
// refused by the server.
func permissions(service string) embednats.Permissions {
	p := embednats.Permissions{Respond: true}
	hear := func(subjects ...string) { p.Subscribe.Allow = append(p.Subscribe.Allow, subjects...) }
	say := func(subjects ...string) { p.Publish.Allow = append(p.Publish.Allow, subjects...) }
	work := func() {
		say(contract.RPCJobsClaim, contract.RPCJobsHeartbeat, contract.RPCJobsFinish, contract.RPCJobsFinishLarge, contract.RPCJobsPayload, contract.RPCJobsPut)
		hear(contract.PatternCancel)
	}
	switch service {
	case admin:
		return embednats.Everything()
	case systemUser:
		say(contract.KickPattern)
		hear(inboxPrefix(systemUser) + ".>")
		return p
	}
	hear(inboxPrefix(service)+".>", "nexus.rpc."+service+".>", "$SRV.>", contract.SubjectLogLevel)
	say("nexus.dead." + service + ".>")
	consume := func(c consumer) {
		say("$JS.API.CONSUMER.INFO."+c.stream+"."+c.durable, "$JS.API.CONSUMER.MSG.NEXT."+c.stream+"."+c.durable, "$JS.ACK."+c.stream+"."+c.durable+".>")
	}
	for _, c := range reads(service) {
		consume(c)
	}
	switch service {
	case "auth":
		say("nexus.events.auth.>", contract.KeyEvents, contract.FeatureEvents)
		hear(contract.KeyEvents)
	case "jobs":
		work()
		say(contract.PatternRuns, contract.PatternJobEvents, contract.PatternCancel, inboxPrefix("gateway")+".>",
			"nexus.events.job_type.>", "nexus.events.queue.>", contract.RejectionPattern("*"),
			"$JS.API.STREAM.INFO."+contract.StreamRuns, "$JS.API.STREAM.MSG.GET."+contract.StreamRuns,
			// A new queue gets its lanes at once.
			"$JS.API.CONSUMER.INFO."+contract.StreamRuns+".*", "$JS.API.CONSUMER.CREATE."+contract.StreamRuns+".>")
	case "corpus":
		work()
		say(contract.GovernanceEvents)
	case "plugins":
		work()
		// Plugins of others live in an account of their own; a call reaches them there.
		say("nexus.rpc.corpus.>", contract.RPCAuthAllowed, contract.PatternPlugins)
	case "audit":
		// Where dead letters come from is where they are replayed to.
		say(contract.PatternSubmit, contract.PatternCommands, contract.PatternRuns, contract.PatternEvents)
	case "webhooks":
		say("nexus.events.webhook.>", contract.RPCJobsWebhooks, contract.RPCAuthOwner)
	case "gateway":
		// Each owner who publishes at the NATS door has a consumer there.
		consume(consumer{contract.StreamSubmit, "*"})
		say("$JS.API.CONSUMER.CREATE." + contract.StreamSubmit + ".>")
		for _, s := range contract.Streams() {
			say(contract.StreamInfo(s.Name))
		}
		say(contract.PatternCommands, contract.PatternAccepted, contract.AcceptedGet+contract.PatternAccepted, "nexus.events.auth.>", "nexus.events.submit.>", "nexus.rpc.>", contract.SubjectPeers, contract.EventsGet,
			contract.SubjectLogLevel, contract.LogEvents)
		hear(contract.PatternEvents, contract.SubjectPeers)
	}
	return p
}

// topology is who may connect to the NATS server, and what each may do.
func topology(keys *embednats.Keys) (*embednats.Topology, error) {
	t := &embednats.Topology{Issuer: keys.Issuer.Public, XKey: keys.XKey.Public}
	for _, name := range natsUsers() {
		key, err := keys.User(name)
		if err != nil {
			return nil, err
		}
		user := embednats.ServiceUser{Name: name, PublicKey: key.Public, Account: embednats.AccountNexus, Permissions: permissions(name)}
		if name == calloutUser {
			user.Account, user.Permissions = embednats.AccountAuth, embednats.Everything()
		}
		if name == systemUser {
			user.Account = embednats.AccountSystem
		}
		t.Users = append(t.Users, user)
	}
	return t, nil
}
