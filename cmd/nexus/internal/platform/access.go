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

// permissions is what a service may say and hear on NATS; everything else is
// refused by the server.
func permissions(service string) embednats.Permissions {
	p := embednats.Permissions{Respond: true}
	hear := func(subjects ...string) { p.Subscribe.Allow = append(p.Subscribe.Allow, subjects...) }
	say := func(subjects ...string) { p.Publish.Allow = append(p.Publish.Allow, subjects...) }
	consume := func(stream, durable string) {
		say("$JS.API.CONSUMER.INFO."+stream+"."+durable, "$JS.API.CONSUMER.MSG.NEXT."+stream+"."+durable, "$JS.ACK."+stream+"."+durable+".>")
	}
	work := func(queue string) {
		for _, lane := range contract.Lanes() {
			consume(contract.StreamRuns, contract.RunConsumer(queue, lane.Priority))
		}
		say(contract.RPCJobsClaim, contract.RPCJobsHeartbeat, contract.RPCJobsFinish, contract.RPCJobsPayload)
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
	hear(inboxPrefix(service)+".>", "nexus.rpc."+service+".>", "$SRV.>")
	say("nexus.dead." + service + ".>")
	switch service {
	case "auth":
		say("nexus.events.auth.>", contract.KeyEvents, contract.FeatureEvents)
		hear(contract.KeyEvents)
	case "jobs":
		consume(contract.StreamCommands, contract.ConsumerRecorder)
		work(contract.QueueBench)
		say(contract.PatternRuns, contract.PatternJobEvents, contract.PatternCancel, inboxPrefix("gateway")+".>",
			"nexus.events.job_type.>", "nexus.events.queue.>",
			"$JS.API.STREAM.INFO."+contract.StreamRuns, "$JS.API.STREAM.MSG.GET."+contract.StreamRuns,
			// A new queue gets its lanes at once.
			"$JS.API.CONSUMER.INFO."+contract.StreamRuns+".*", "$JS.API.CONSUMER.CREATE."+contract.StreamRuns+".>")
	case "corpus":
		work(contract.QueueCorpus)
		say(contract.GovernanceEvents)
	case "plugins":
		work(contract.QueuePlugins)
		say("nexus.rpc.corpus.>", contract.RPCAuthAllowed)
	case "audit":
		consume(contract.StreamEvents, contract.ConsumerAudit)
		consume(contract.StreamDead, contract.ConsumerDead)
		// Where dead letters come from is where they are replayed to.
		say(contract.PatternSubmit, contract.PatternCommands, contract.PatternRuns, contract.PatternEvents)
	case "webhooks":
		consume(contract.StreamEvents, contract.ConsumerWebhooks)
		say("nexus.events.webhook.>", contract.RPCJobsWebhooks, contract.RPCAuthOwner)
	case "gateway":
		consume(contract.StreamSubmit, contract.ConsumerDoor)
		say(contract.PatternCommands, "nexus.events.auth.>", "nexus.events.submit.>", "nexus.rpc.>", contract.SubjectPeers, contract.EventsGet)
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
