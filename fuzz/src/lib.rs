//! What do several fuzz targets have in common?

use std::panic;

/// The fuzzer ends at any panic, also where the gateway catches it: what the parser of YAML does on some malformed tags.
pub fn let_the_yaml_parser_panic() {
    let end = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let caught = |place: &panic::Location<'_>| place.file().contains("libyaml-safer");
        if !panic.location().is_some_and(caught) {
            end(panic);
        }
    }));
}
