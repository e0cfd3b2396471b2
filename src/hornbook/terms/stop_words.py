"""English function words, by part of speech. The list was written for hornbook."""

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
