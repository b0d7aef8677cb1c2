package populate

import (
	"context"
	"embed"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

//go:embed crds/*.yaml
var crdFiles embed.FS

var crdResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// operatorNetworks is the one resource whose definition may be somebody else's:
// the plain-Kubernetes manifests bring a Network CRD with one more field.
var operatorNetworks = schema.GroupResource{Group: "operator.openshift.io", Resource: "networks"}

// createPlatform writes one object that only OpenShift has, and its kind.
func (c *clients) createPlatform(ctx context.Context, object platformObject, options Options) error {
	served, err := c.ensureKind(ctx, object.resource, options)
	if err == nil && served {
		err = c.createPlatformObject(ctx, object)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", object.resource, err)
	}
	return nil
}

// ensureKind reports whether the kind is served. A definition that exists is
// never touched.
func (c *clients) ensureKind(ctx context.Context, resource schema.GroupResource, options Options) (bool, error) {
	api := c.dynamic.Resource(crdResource)
	_, err := api.Get(ctx, resource.String(), metav1.GetOptions{})
	switch {
	case err == nil:
		c.count("CustomResourceDefinition", false)
	case !apierrors.IsNotFound(err):
		return false, err
	case resource == operatorNetworks && options.NetworkCRD == "none":
		return false, nil
	default:
		if err := c.createKind(ctx, resource); err != nil {
			return false, err
		}
	}
	return true, waitEstablished(ctx, api, resource.String())
}

func (c *clients) createKind(ctx context.Context, resource schema.GroupResource) error {
	data, err := crdFiles.ReadFile("crds/" + resource.String() + ".yaml")
	if err != nil {
		return err
	}
	definition := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(data, &definition.Object); err != nil {
		return err
	}
	_, err = c.dynamic.Resource(crdResource).Create(ctx, definition, metav1.CreateOptions{FieldManager: manager})
	c.count("CustomResourceDefinition", err == nil)
	return err
}

func waitEstablished(ctx context.Context, api dynamic.ResourceInterface, name string) error {
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		definition, err := api.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		// The field is null at first, which is no more than "not yet".
		conditions, _, _ := unstructured.NestedSlice(definition.Object, "status", "conditions")
		for _, condition := range conditions {
			fields, _ := condition.(map[string]any)
			if fields["type"] == "Established" && fields["status"] == "True" {
				return true, nil
			}
		}
		return false, nil
	})
}

// createPlatformObject writes the status only with a new object: later it
// belongs to whoever reports there.
func (c *clients) createPlatformObject(ctx context.Context, object platformObject) error {
	api := c.dynamic.Resource(object.resource.WithVersion("v1"))
	content := object.content()
	created, err := createWhenServed(ctx, api, content, object.manager)
	if apierrors.IsAlreadyExists(err) {
		c.count(content.GetKind(), false)
		return nil
	}
	if err != nil {
		return err
	}
	c.count(content.GetKind(), true)
	if object.statusInSpecWrite {
		return nil
	}
	created.Object["status"] = content.Object["status"]
	_, err = api.UpdateStatus(ctx, created, metav1.UpdateOptions{FieldManager: object.manager})
	return err
}

// createWhenServed bears with the moment between "established" and "served".
func createWhenServed(ctx context.Context, api dynamic.ResourceInterface, content *unstructured.Unstructured, owner string) (*unstructured.Unstructured, error) {
	var created *unstructured.Unstructured
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		var err error
		created, err = api.Create(ctx, content, metav1.CreateOptions{FieldManager: owner})
		return !apierrors.IsNotFound(err), ignoreNotFound(err)
	})
	return created, err
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
