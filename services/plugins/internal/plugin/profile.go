package plugin

import (
	"fmt"
	"strings"

	"nexus.internal/libs/contract"
)

// The built-in profiles.
const (
	ProfileDeterministic = "deterministic"
	ProfileMLFirst       = "ml_first"
	ProfileMLOnly        = "ml_only"
)

// Profiles maps the name of a profile to the names of the plugins of its chain,
// in the order in which they are tried.
type Profiles map[string][]string

// BuiltInProfiles returns the profiles every installation has.
func BuiltInProfiles() Profiles {
	return Profiles{
		ProfileDeterministic: {deterministicName},
		ProfileMLFirst:       {mlStubName, deterministicName},
		ProfileMLOnly:        {mlStubName},
	}
}

// maxProfiles and maxChain bound what settings may add.
const (
	maxProfiles = 100
	maxChain    = 16
)

// ParseProfiles adds profiles to the built-in ones. The text has the form
// name=plugin,plugin;other=plugin.
func ParseProfiles(text string) (Profiles, error) {
	profiles := BuiltInProfiles()
	for part := range strings.SplitSeq(text, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, list, found := strings.Cut(part, "=")
		if name = strings.TrimSpace(name); !found || !contract.ValidToken(name) {
			return nil, fmt.Errorf("%q: want name=plugin,plugin", contract.Cut(part, contract.MaxToken))
		}
		if _, taken := profiles[name]; taken {
			return nil, fmt.Errorf("there is a profile %s already", name)
		}
		chain := strings.Split(list, ",")
		for i, plugin := range chain {
			if chain[i] = strings.TrimSpace(plugin); !contract.ValidToken(chain[i]) {
				return nil, fmt.Errorf("profile %s: %q is no name of a plugin", name, contract.Cut(plugin, contract.MaxToken))
			}
		}
		if len(chain) > maxChain {
			return nil, fmt.Errorf("profile %s names %d plugins: the limit is %d", name, len(chain), maxChain)
		}
		if profiles[name] = chain; len(profiles) > maxProfiles {
			return nil, fmt.Errorf("there are more than %d profiles", maxProfiles)
		}
	}
	return profiles, nil
}

// Resolve returns the profile meant by a requested name: deterministic for an
// empty or unknown one.
func (p Profiles) Resolve(requested string) string {
	if _, known := p[requested]; known {
		return requested
	}
	return ProfileDeterministic
}
