//! Starts `grain language-server` for Zed.

use zed_extension_api::{self as zed, settings::LspSettings, LanguageServerId, Result, Worktree};

const MISSING: &str = "`grain` was not found. Install it with `pip install 'grainspec[editor]'`, or \
    write its path to `lsp.grain.binary.path` in the settings.";

struct Grain;

impl zed::Extension for Grain {
    fn new() -> Self {
        Grain
    }

    fn language_server_command(
        &mut self,
        server: &LanguageServerId,
        worktree: &Worktree,
    ) -> Result<zed::Command> {
        let chosen = LspSettings::for_worktree(server.as_ref(), worktree)
            .ok()
            .and_then(|settings| settings.binary)
            .and_then(|binary| binary.path);
        Ok(zed::Command {
            command: chosen.or_else(|| worktree.which("grain")).ok_or(MISSING)?,
            args: vec!["language-server".to_string()],
            env: worktree.shell_env(),
        })
    }
}

zed::register_extension!(Grain);
