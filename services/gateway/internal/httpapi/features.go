package httpapi

import (
	"context"
	"net/http"

	"nexus.internal/libs/contract"
)

type featuresBody struct {
	Features []ListedFeature `json:"features" doc:"The features that are open to the caller; for an admin all, also those that are off."`
}

// ListedFeature is a feature as its caller sees it. It is exported because huma passes
// over embedded structs that are not.
type ListedFeature struct {
	contract.Feature
	Open bool `json:"open" doc:"Whether the caller may use it now: it is enabled, the role is high enough, and the settings of the platform allow it."`
}

func (s *Server) listFeatures(ctx context.Context, _ *none) (*body[featuresBody], error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	seen, err := s.deps.Admission.Features(ctx, caller.Role)
	if err != nil {
		return nil, err
	}
	out := &body[featuresBody]{Body: featuresBody{Features: []ListedFeature{}}}
	for _, f := range seen {
		out.Body.Features = append(out.Body.Features, ListedFeature{f.Feature, f.Open})
	}
	return out, nil
}

type updateFeatureInput struct {
	Name string `path:"name" maxLength:"64" pattern:"^[a-z][a-z0-9_]*$" doc:"The name of the feature."`
	Body struct {
		Enabled     *bool   `json:"enabled,omitempty" doc:"A feature that is off is open to nobody."`
		MinRole     *string `json:"min_role,omitempty" enum:"viewer,operator,researcher,admin" doc:"The least role it is open to."`
		Description *string `json:"description,omitempty" maxLength:"500"`
	}
}

func (s *Server) updateFeature(ctx context.Context, in *updateFeatureInput) (*body[contract.Feature], error) {
	by, err := askerOf(ctx)
	if err != nil {
		return nil, err
	}
	return ask[contract.Feature](ctx, s, contract.RPCAuthFeatureUpdate, contract.UpdateFeatureRequest{
		Asker: by, Name: in.Name, Enabled: in.Body.Enabled, MinRole: in.Body.MinRole, Description: in.Body.Description,
	})
}

func (s *Server) featureRoutes() {
	const tag = "Access"
	register(s, route{method: http.MethodGet, path: "/api/v1/features", id: "list-features", summary: "List the features that are open to me, or, for an admin, all", tag: tag}, s.listFeatures)
	register(s, route{
		method: http.MethodPut, path: "/api/v1/features/{name}", id: "update-feature", summary: "Turn a feature on or off, or open it to another role", tag: tag,
		errors: []int{http.StatusUnprocessableEntity, http.StatusNotFound},
	}, s.updateFeature)
}
