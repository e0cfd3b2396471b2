"""Function words of each language: those of English by part of speech, the others in files of `stop_lists`.

Negations and words of judgement are in none of these files: they carry what many tasks are about. The English list
was written for hornbook before this rule, and finished artefacts depend on it: it contains negations.
"""

from functools import cache
from pathlib import Path

from hornbook.languages import ENGLISH
from hornbook.terms.plain import normalise

_LISTS = Path(__file__).parent / "stop_lists"
# Words that lose their vowel before another: French "qu'elle" is "que" and "elle".
_ELIDED = {
    "catalan": "d l m s t",
    "french": "c d j l m s t qu jusqu lorsqu puisqu quoiqu",
    "irish": "b d m",
    "italian": "c d l m s t v all dall dell nell sull quell quest un",
}
_VOWELS = frozenset("aàâáeèéêëiîïíoòôóuùûúyh")

_WORDS = """
a an the this that these those such same other another own both either neither each every all any some many
much more most few less least several enough no none

i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers
herself it its itself they them their theirs themselves one ones oneself who whom whose which what whoever
whatever whichever someone somebody something anyone anybody anything everyone everybody everything nobody
nothing

about above across after against along among amid around as at before behind below beneath beside besides
between beyond by despite down during except for from in inside into like near of off on onto out outside over
past per since than through throughout till to toward towards under underneath until unto up upon via with
within without

and but or nor so yet if unless because although though while whereas whether lest

am is are was were be been being do does did doing done have has had having can could may might must shall
should will would ought cannot

when where why how whenever wherever however here there then now again once ever never not only just also too
very quite rather even still already almost else instead perhaps maybe thus hence therefore otherwise indeed
yes oh
"""

# As written, and as in corpora that split contractions ("does n't", "they 're", "ca n't").
_CONTRACTIONS = """
i'm you're we're they're he's she's it's that's there's here's who's what's where's how's let's
i've you've we've they've i'd you'd he'd she'd we'd they'd it'd i'll you'll he'll she'll it'll we'll they'll
isn't aren't wasn't weren't don't doesn't didn't haven't hasn't hadn't can't couldn't won't wouldn't shan't
shouldn't mustn't mightn't needn't oughtn't ain't
n't s t d m ll re ve ca wo
"""

STOP_WORDS: frozenset[str] = frozenset(
    [*_WORDS.split(), *_CONTRACTIONS.split(), *_CONTRACTIONS.replace("'", "’").split()]
)


@cache
def stop_words(language: str = ENGLISH) -> frozenset[str]:
    """Return the stop words of a language, in lower case and composed form; with both kinds of apostrophe.

    Args:
        language: a key of `LANGUAGES`.

    Returns:
        the words; each is one term.
    """
    if language == ENGLISH:
        return STOP_WORDS
    text = (_LISTS / f"{language}.txt").read_text("utf-8")
    words = {word for line in text.splitlines() if not line.startswith("#") for word in normalise(line).split()}
    short = _ELIDED.get(language, "").split()
    words |= {f"{one}'{word}" for one in short for word in words if word[0] in _VOWELS and "'" not in word}
    return frozenset(words | {word.replace("'", "’") for word in words})
