package migrations_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"nexus.internal/migrations"
)

// What the migrations do to a database is tested in libs/testkit, beside the
// server that it takes.

func TestEverySchemaHasMigrationsBothWays(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("sql")
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, e := range entries {
		folders = append(folders, e.Name())
	}
	if want := slices.Sorted(slices.Values(migrations.Schemas())); !slices.Equal(folders, want) {
		t.Fatalf("folders %v, schemas %v", folders, want)
	}
	// tx: a migration that fails half-way leaves nothing behind.
	name := regexp.MustCompile(`^\d{4}_[a-z0-9_]+\.tx\.(up|down)\.sql$`)
	for _, folder := range folders {
		files, err := os.ReadDir("sql/" + folder)
		if err != nil {
			t.Fatal(err)
		}
		there := map[string]bool{}
		numbers := map[string]int{}
		for _, f := range files {
			if !name.MatchString(f.Name()) {
				t.Errorf("%s/%s: want <number>_<name>.tx.up.sql or .tx.down.sql", folder, f.Name())
			}
			there[f.Name()] = true
			numbers[f.Name()[:4]]++
		}
		for file := range there {
			other := strings.Replace(file, ".up.", ".down.", 1)
			if other == file {
				other = strings.Replace(file, ".down.", ".up.", 1)
			}
			if !there[other] {
				t.Errorf("%s/%s goes one way only", folder, file)
			}
		}
		for number, n := range numbers {
			if n != 2 {
				t.Errorf("%s has %d files numbered %s", folder, n, number)
			}
		}
	}
}

// A migration touches the schema of its own service and no other.
func TestMigrationsKeepToTheirSchema(t *testing.T) {
	t.Parallel()
	for _, schema := range migrations.Schemas() {
		files, err := os.ReadDir("sql/" + schema)
		if err != nil {
			t.Fatal(err)
		}
		if len(files) == 0 {
			t.Errorf("%s has no migrations", schema)
		}
		for _, f := range files {
			text, err := os.ReadFile("sql/" + schema + "/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			for _, other := range migrations.Schemas() {
				if other != schema && regexp.MustCompile(`\b`+other+`\.[a-z_]+`).Match(text) {
					t.Errorf("%s/%s mentions schema %s", schema, f.Name(), other)
				}
			}
		}
	}
}

func TestFingerprintIsStable(t *testing.T) {
	t.Parallel()
	one, err := migrations.Fingerprint()
	if err != nil {
		t.Fatal(err)
	}
	two, err := migrations.Fingerprint()
	if err != nil {
		t.Fatal(err)
	}
	if one != two || !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(one) {
		t.Fatalf("fingerprints %q and %q: want the same 16 hexadecimal digits, fit for the name of a database", one, two)
	}
}

// released are the newest migrations of the last version that could not go back.
var released = map[string]string{"auth": "0002", "jobs": "0005", "corpus": "0001", "plugins": "0001", "audit": "0003", "webhooks": "0002"}

// Whoever writes a migration decides how far back a program may go that runs on it,
// and one step back must be possible.
func TestMigrationsSayWhatTheyAreCompatibleWith(t *testing.T) {
	t.Parallel()
	for _, schema := range migrations.Schemas() {
		entries, err := os.ReadDir("sql/" + schema)
		if err != nil {
			t.Fatal(err)
		}
		before := ""
		for _, f := range entries {
			if !strings.HasSuffix(f.Name(), ".up.sql") {
				continue
			}
			number := f.Name()[:4]
			text, err := os.ReadFile("sql/" + schema + "/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			oldest := migrations.CompatibleBackTo(text)
			switch {
			case number <= released[schema]:
			case oldest == "":
				t.Errorf("%s/%s does not say what it is compatible with: want a line \"-- compatible back to %s\" or an older one", schema, f.Name(), before)
			case oldest > before:
				t.Errorf("%s/%s is compatible back to %s: a program that knows %s, the migration before, could not go on", schema, f.Name(), oldest, before)
			case !strings.HasPrefix(string(text), "-- compatible back to "):
				t.Errorf("%s/%s: want the line on compatibility at its beginning", schema, f.Name())
			}
			before = number
		}
	}
}

func TestCompatibleBackTo(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"-- compatible back to 0005\nSELECT 1": "0005", "SELECT 1;\n-- compatible back to 0012\n": "0012",
		"": "", "SELECT 1": "", "-- compatible back to 5\n": "", "-- compatible back to 0005 or so\n": "", "SELECT '-- compatible back to 0005'": "",
	} {
		if got := migrations.CompatibleBackTo([]byte(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
