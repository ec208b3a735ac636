package plugin

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

// Resolve returns the profile meant by a requested name: deterministic for an
// empty or unknown one.
func (p Profiles) Resolve(requested string) string {
	if _, known := p[requested]; known {
		return requested
	}
	return ProfileDeterministic
}
