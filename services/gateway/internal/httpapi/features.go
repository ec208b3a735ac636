package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"nexus.internal/libs/contract"
)

type featuresBody struct {
	Features []contract.Feature `json:"features" doc:"The features that are open to the caller's role."`
}

func (s *Server) listFeatures(ctx context.Context, _ *none) (*body[featuresBody], error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	open, err := s.deps.Admission.Features(ctx, caller.Role)
	if err != nil {
		return nil, err
	}
	out := &body[featuresBody]{Body: featuresBody{Features: []contract.Feature{}}}
	for _, f := range open {
		out.Body.Features = append(out.Body.Features, f)
	}
	slices.SortFunc(out.Body.Features, func(a, b contract.Feature) int { return strings.Compare(a.Name, b.Name) })
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
	register(s, route{method: http.MethodGet, path: "/api/v1/features", id: "list-features", summary: "List the features that are open to me", tag: tag}, s.listFeatures)
	register(s, route{
		method: http.MethodPut, path: "/api/v1/features/{name}", id: "update-feature", summary: "Turn a feature on or off, or open it to another role", tag: tag,
		errors: []int{http.StatusUnprocessableEntity, http.StatusNotFound},
	}, s.updateFeature)
}
