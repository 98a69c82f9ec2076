package align

import (
	"os"
	"path/filepath"
	"testing"
)

// An adapter that names no base is of no other one, whatever lies in the current folder.
func TestAnAdapterWithoutABaseIsOfNoOtherBase(t *testing.T) {
	here, adapter := t.TempDir(), t.TempDir()
	t.Chdir(here)
	for path, text := range map[string]string{
		filepath.Join(here, "config.json"):            `{}`,
		filepath.Join(adapter, "adapter_config.json"): `{"peft_type": "LORA", "base_model_name_or_path": null, "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	noteOtherBase(adapter, "base", Environment{Note: func(line string) { t.Errorf("told %q", line) }})
}
