//! What do shells and `man` know of the commands? The words of `--help`, in their forms.

use std::io::{self, Write};

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

pub(super) fn completions(shell: Shell, program: &mut Command) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, program, "memgate", &mut script);
    script
}

/// One page for all commands, so that a search in it finds everything.
pub(super) fn page(program: Command) -> io::Result<Vec<u8>> {
    let mut program = program
        .disable_help_flag(true)
        .disable_help_subcommand(true);
    program.build();
    let mut page = Vec::new();
    let whole = Man::new(program.clone());
    whole.render_title(&mut page)?;
    whole.render_name_section(&mut page)?;
    whole.render_synopsis_section(&mut page)?;
    whole.render_description_section(&mut page)?;
    page.write_all(b".SH COMMANDS\nEach takes\n.BR \\-\\-help .\n")?;
    for command in program.get_subcommands() {
        describe(command, &mut page)?;
    }
    page.write_all(include_bytes!("manual.roff"))?;
    Ok(page)
}

/// A command, and then those below it.
fn describe(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let usage = command.clone().render_usage().to_string();
    let about = command.get_long_about().or(command.get_about());
    Roff::new()
        .control("SS", [command.get_bin_name().unwrap_or_default()])
        .text([bold(usage.trim_start_matches("Usage: "))])
        .control("PP", [])
        .text([roman(about.map(ToString::to_string).unwrap_or_default())])
        .to_writer(page)?;
    let mut options = Vec::new();
    Man::new(command.clone()).render_options_section(&mut options)?;
    // They stand below their command's heading.
    let options = String::from_utf8_lossy(&options).replace(".SH OPTIONS\n", "");
    page.write_all(options.as_bytes())?;
    command
        .get_subcommands()
        .try_for_each(|command| describe(command, page))
}

#[cfg(test)]
mod tests {
    use std::process;

    use clap::{CommandFactory, ValueEnum};

    use super::super::Cli;
    use super::*;

    /// Every command with all words before it, such as `memgate ctl pause`, and the program itself.
    fn commands() -> Vec<Command> {
        fn below(command: &Command) -> Vec<Command> {
            let subcommands = command.get_subcommands().flat_map(below);
            std::iter::once(command.clone())
                .chain(subcommands)
                .collect()
        }
        let mut program = Cli::command().disable_help_subcommand(true);
        program.build();
        below(&program)
    }

    fn options(command: &Command) -> Vec<String> {
        let long = command.get_arguments().filter_map(|one| one.get_long());
        long.map(|name| format!("--{name}")).collect()
    }

    /// What bash offers after these words, the last of which is unfinished.
    fn offered(words: &[&str]) -> Vec<String> {
        let script = completions(Shell::Bash, &mut Cli::command());
        let script = String::from_utf8(script).unwrap();
        let ask = format!(
            "{script}\nCOMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1))\n\
             _memgate memgate \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let bash = process::Command::new("bash")
            .args(["-c", &ask, "bash"])
            .args(words)
            .output()
            .unwrap();
        assert!(bash.status.success(), "{bash:?}");
        let said = String::from_utf8(bash.stdout).unwrap();
        said.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_page_describes_every_command_with_all_its_options() {
        let page = String::from_utf8(page(Cli::command()).unwrap()).unwrap();

        let page = page.replace("\\-", "-").replace("\\*(Aq", "'");
        let sections: Vec<&str> = page.split("\n.SS ").collect();
        let commands = commands();
        assert_eq!(sections.len(), commands.len());
        for command in commands.iter().skip(1) {
            let name = command.get_bin_name().unwrap();
            let heading = format!("\"{name}\"\n");
            let found = sections.iter().find(|text| text.starts_with(&heading));
            let section = found.unwrap_or_else(|| panic!("no section {heading}{page}"));
            for option in options(command) {
                let is_there = section.contains(&option) || option == "--help";
                assert!(is_there, "{name} {option}: {section}");
            }
            let about = command.get_about().unwrap().to_string();
            assert!(section.contains(about.trim_end_matches('.')), "{section}");
        }
    }

    #[test]
    fn bash_offers_every_command_and_all_its_options() {
        for command in commands() {
            let name = command.get_bin_name().unwrap_or("memgate").to_owned();
            let mut words: Vec<&str> = name.split(' ').collect();
            words.push("-");

            let offered = offered(&words);

            for option in options(&command) {
                assert!(offered.contains(&option), "{name} {option}: {offered:?}");
            }
        }
        for command in commands().iter().skip(1) {
            let name = command.get_bin_name().unwrap();
            let (before, last) = name.rsplit_once(' ').unwrap();
            let mut words: Vec<&str> = before.split(' ').collect();
            words.push(last.get(..1).unwrap());

            let offered = offered(&words);

            assert!(
                offered.iter().any(|word| word == last),
                "{name}: {offered:?}"
            );
        }
    }

    #[test]
    fn every_shell_is_told_of_every_command_and_option() {
        for shell in Shell::value_variants() {
            let script = completions(*shell, &mut Cli::command());
            let script = String::from_utf8(script).unwrap();

            for command in commands() {
                assert!(script.contains(command.get_name()), "{shell}");
                for option in options(&command) {
                    let name = option.trim_start_matches('-');
                    assert!(script.contains(name), "{shell}: {option}");
                }
            }
        }
    }
}
