//! How do messages become turns that alternate, with tool results first and together?

use super::super::Unsupported;
use super::super::anthropic::{Block, Role, Turn};
use super::super::capabilities::Capabilities;
use super::super::openai::Message;
use super::{Names, Place, calls, parts};

/// The system prompt and the turns.
pub(super) struct Conversation<'a> {
    pub system: Vec<Block<'a>>,
    pub messages: Vec<Turn<'a>>,
    /// It refers to files of Anthropic's.
    pub files: bool,
}

impl<'a> Conversation<'a> {
    pub fn of(
        messages: Vec<Message<'a>>,
        names: &Names,
        capabilities: &Capabilities,
    ) -> Result<Self, Unsupported> {
        let mut turns = Turns {
            in_place: capabilities.accepts.system_in_messages,
            ..Turns::default()
        };
        for (at, message) in messages.into_iter().enumerate() {
            turns.take(message, names, Place::message(at))?;
        }
        turns.end();
        let Turns {
            system,
            mut closed,
            files,
            ..
        } = turns;
        if closed.is_empty() {
            return Err(Unsupported::new(
                "messages",
                "`messages` says nothing to answer, it needs one message of the user's",
            ));
        }
        prefill(&mut closed, capabilities)?;
        Ok(Self {
            system,
            messages: closed,
            files,
        })
    }
}

/// What was read so far. Between two assistant turns stands one user turn, and after it what the system
/// says there: the only order that Anthropic takes.
#[derive(Default)]
struct Turns<'a> {
    in_place: bool,
    system: Vec<Block<'a>>,
    closed: Vec<Turn<'a>>,
    results: Vec<Block<'a>>,
    user: Vec<Block<'a>>,
    later_system: Vec<Block<'a>>,
    files: bool,
}

impl<'a> Turns<'a> {
    fn take(
        &mut self,
        message: Message<'a>,
        names: &Names,
        place: Place,
    ) -> Result<(), Unsupported> {
        match &*message.role {
            "system" | "developer" => {
                let blocks = parts::system(message, place)?;
                let leading =
                    self.closed.is_empty() && self.user.is_empty() && self.results.is_empty();
                let to = match leading {
                    true => &mut self.system,
                    false => &mut self.later_system,
                };
                to.extend(blocks);
            }
            "user" => {
                let blocks = parts::user(message, place)?;
                self.files |= blocks.iter().any(Block::is_file);
                self.user.extend(blocks);
            }
            "tool" => {
                let result = calls::result(message, names, place)?;
                self.files |= result.is_file();
                self.results.push(result);
            }
            "assistant" => {
                let blocks = calls::assistant(message, names, place)?;
                self.assistant(blocks);
            }
            "function" => {
                return Err(place.field(
                    "role",
                    "`function` messages are not supported, use `tools` and `tool` messages",
                ));
            }
            _ => {
                return Err(place.field(
                    "role",
                    "the role must be system, developer, user, assistant or tool",
                ));
            }
        }
        Ok(())
    }

    fn assistant(&mut self, blocks: Vec<Block<'a>>) {
        if blocks.is_empty() {
            return;
        }
        self.close();
        match self.closed.last_mut() {
            Some(turn) if turn.role == Role::Assistant => turn.content.extend(blocks),
            _ => self.closed.push(Turn {
                role: Role::Assistant,
                content: blocks,
            }),
        }
    }

    /// Ends the conversation. What the system says after the last answer is what shall be answered: among
    /// the system's first words it would leave that answer for the model to continue.
    fn end(&mut self) {
        let answered = self
            .closed
            .last()
            .is_some_and(|turn| turn.role == Role::Assistant);
        if answered && self.user.is_empty() && self.results.is_empty() {
            self.user.append(&mut self.later_system);
        }
        self.close();
    }

    /// Ends the user's turn.
    fn close(&mut self) {
        let mut content = std::mem::take(&mut self.results);
        content.append(&mut self.user);
        let spoken = !content.is_empty();
        if spoken {
            self.closed.push(Turn {
                role: Role::User,
                content,
            });
        }
        let later = std::mem::take(&mut self.later_system);
        if later.is_empty() {
            return;
        }
        if spoken && self.in_place {
            self.closed.push(Turn {
                role: Role::System,
                content: later,
            });
        } else {
            self.system.extend(later);
        }
    }
}

/// An answer that the client began: continued by models that do so, without white space at its end.
fn prefill(turns: &mut Vec<Turn<'_>>, capabilities: &Capabilities) -> Result<(), Unsupported> {
    let Some(last) = turns.last_mut().filter(|turn| turn.role == Role::Assistant) else {
        return Ok(());
    };
    if !capabilities.accepts.prefill {
        return Err(Unsupported::new(
            "messages",
            "this model does not continue an assistant message, end with a message of the user's",
        ));
    }
    if let Some(Block::Text { text, .. }) = last.content.last_mut() {
        text.drop_trailing_space();
    }
    Ok(())
}
