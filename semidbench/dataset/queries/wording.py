"""The words queries are written in: everyday wordings of genres and decades, synonyms, frames, stop lists.

Wordings come in pairs of pools: training queries take from the first, their paraphrases (test) mostly
from the second, so that a paraphrase seldom repeats the wording of its training query.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Noun phrases by MovieLens genre. IMAX is a format that nobody asks for by story: it has none.
GENRES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Action": (("an action film", "an action movie"), ("something action-packed", "a fast action picture")),
    "Adventure": (("an adventure film", "an adventure movie"), ("an adventure story", "a grand adventure")),
    "Animation": (("an animated film", "an animated movie"), ("a cartoon feature", "some animation")),
    "Children": (("a children's film", "a kids movie"), ("something for children", "a picture for kids")),
    "Comedy": (
        ("a comedy", "a funny film", "a comedy movie"),
        ("something to laugh at", "a humorous comedy", "a light comedy"),
    ),
    "Crime": (("a crime film", "a crime movie"), ("a crime story", "something about criminals")),
    "Documentary": (("a documentary", "a documentary film"), ("a non-fiction documentary", "something documentary")),
    "Drama": (("a drama", "a drama film"), ("a dramatic story", "some serious drama")),
    "Fantasy": (("a fantasy film", "a fantasy movie"), ("a magical fantasy", "a fantastical story")),
    "Film-Noir": (("a film noir", "a noir movie"), ("a dark noir picture", "a moody film noir")),
    "Horror": (("a horror film", "a scary movie"), ("some scary horror", "a terrifying story")),
    "Musical": (("a musical", "a musical film"), ("something with singing and dancing", "a musical with songs")),
    "Mystery": (("a mystery", "a mystery film"), ("a mystery story", "a puzzling whodunit")),
    "Romance": (("a romance", "a romantic film"), ("a love story", "something romantic")),
    "Sci-Fi": (("a science fiction film", "a sci-fi movie"), ("some science fiction", "a futuristic sci-fi story")),
    "Thriller": (("a thriller", "a thriller film"), ("a suspenseful story", "a tense thriller")),
    "War": (("a war film", "a war movie"), ("a story set in wartime", "a war drama")),
    "Western": (("a western", "a western film"), ("a cowboy movie", "a Wild West story")),
}
ANYTHING = (("a film", "a movie"), ("something to watch", "a picture"))  # where no genre is named

# Wordings of a decade; {d} is its first year, {w} its name in words where it has one. Likewise of a year.
DECADES = (("from the {d}s", "made in the {d}s"), ("released in the {d}s", "of the {d}s", "of the {w}"))
YEARS = (("from {y}", "made in {y}"), ("released in {y}", "of the year {y}"))
DECADE_NAMES = {
    1920: "twenties",
    1930: "thirties",
    1940: "forties",
    1950: "fifties",
    1960: "sixties",
    1970: "seventies",
    1980: "eighties",
    1990: "nineties",
}

# {g} genre, {d} decade, year or nothing, {t} themes. No test frame can give the text of a training frame.
TRAIN_FRAMES = (
    "{g} {d} about {t}",
    "{g} {d} with {t}",
    "{g} {d} involving {t}",
    "find me {g} {d} about {t}",
    "show me {g} {d} featuring {t}",
    "looking for {g} {d} with {t}",
    "I want to see {g} {d} about {t}",
    "recommend {g} {d} dealing with {t}",
)
TEST_FRAMES = (
    "{t}: {g} {d}",
    "{t}, ideally {g} {d}",
    "something with {t}, maybe {g} {d}",
    "is there {g} {d} on {t}",
    "{t}, preferably {g} {d}",
    "can you suggest {g} {d} on {t}",
    "what is {g} {d} that deals with {t}",
)
TRAIN_BARE_FRAMES = (
    "{g} {d}",
    "find me {g} {d}",
    "show me {g} {d}",
    "looking for {g} {d}",
    "I want to see {g} {d}",
    "recommend {g} {d}",
    "I feel like {g} {d}",
    "any tips for {g} {d}",
    "please name {g} {d}",
    "need {g} {d}",
    "searching {g} {d}",
)
TEST_BARE_FRAMES = (
    "is there {g} {d}",
    "do you know {g} {d}",
    "can you suggest {g} {d}",
    "in the mood for {g} {d}",
    "I would enjoy {g} {d}",
    "what about {g} {d}",
    "tonight: {g} {d}",
    "could we watch {g} {d}",
    "let's pick {g} {d}",
    "ideas for {g} {d}",
    "which one is {g} {d}",
    "got {g} {d}",
)
FRAMES = (TRAIN_FRAMES, TEST_FRAMES)
BARE_FRAMES = (TRAIN_BARE_FRAMES, TEST_BARE_FRAMES)  # where no theme is named
JOINERS = ((" and ", ", "), (", ", " plus ", " & "))

# Everyday synonyms that paraphrases use. One direction: left is how descriptions put it.
SYNONYMS = {
    "agent": "operative",
    "alien": "creature from space",
    "aliens": "beings from space",
    "army": "troops",
    "artist": "painter or artist",
    "assassin": "hit man",
    "author": "writer",
    "baby": "infant",
    "band": "music group",
    "bank": "money vault",
    "battle": "combat",
    "best friend": "close buddy",
    "best friends": "close buddies",
    "boss": "employer",
    "boxer": "prizefighter",
    "boy": "young lad",
    "boyfriend": "man she dates",
    "brother": "sibling",
    "brothers": "siblings",
    "businessman": "entrepreneur",
    "bus": "coach",
    "car": "automobile",
    "castle": "fortress",
    "child": "kid",
    "children": "kids",
    "city": "big town",
    "college": "university",
    "competition": "contest",
    "conspiracy": "secret plot",
    "cop": "police officer",
    "couple": "two lovers",
    "creature": "beast",
    "creatures": "beasts",
    "crime": "lawbreaking",
    "criminal": "crook",
    "criminals": "crooks",
    "daughter": "girl and her parents",
    "death": "dying",
    "detective": "sleuth",
    "disease": "illness",
    "divorce": "breaking up a marriage",
    "doctor": "physician",
    "dog": "canine",
    "dream": "vision at night",
    "dreams": "visions at night",
    "drug": "narcotics",
    "drugs": "narcotics",
    "family": "relatives",
    "farm": "ranch",
    "father": "dad",
    "friend": "buddy",
    "friends": "pals",
    "friendship": "being friends",
    "future": "times to come",
    "gang": "mob",
    "gangster": "mobster",
    "ghost": "spirit",
    "ghosts": "spirits",
    "girl": "young lady",
    "girlfriend": "woman he dates",
    "gold": "treasure",
    "government": "authorities",
    "heist": "big robbery",
    "high school": "teenage classmates",
    "home": "house",
    "hotel": "inn",
    "house": "home",
    "husband": "married man",
    "identity": "who somebody is",
    "island": "remote isle",
    "job": "work",
    "journalist": "reporter",
    "journey": "long trip",
    "judge": "court",
    "killer": "murderer",
    "king": "monarch",
    "lawyer": "attorney",
    "life": "living",
    "love": "affection",
    "lover": "sweetheart",
    "magic": "sorcery",
    "man": "guy",
    "marriage": "wedlock",
    "martial arts": "kung fu style fighting",
    "memory": "recollection",
    "men": "guys",
    "military": "armed forces",
    "mission": "assignment",
    "money": "cash",
    "monster": "beast",
    "mother": "mom",
    "murder": "killing",
    "murders": "killings",
    "music": "songs",
    "mysterious": "strange",
    "officer": "policeman",
    "parents": "mom and dad",
    "people": "folks",
    "pilot": "flyer",
    "planet": "distant world",
    "police": "cops",
    "police officer": "cop",
    "president": "head of state",
    "priest": "clergyman",
    "prison": "jail",
    "prisoner": "inmate",
    "professor": "academic",
    "quest": "search",
    "rebellion": "uprising",
    "rescue": "saving somebody",
    "revenge": "vengeance",
    "rival": "competitor",
    "road trip": "driving across the country",
    "robbery": "hold-up",
    "robot": "android",
    "robots": "androids",
    "sailor": "seaman",
    "school": "classroom",
    "scientist": "researcher",
    "secret agent": "spy",
    "serial killer": "murderer on the loose",
    "ship": "vessel",
    "singer": "vocalist",
    "sister": "sibling",
    "sisters": "siblings",
    "small town": "little village",
    "society": "the social order",
    "soldier": "trooper",
    "soldiers": "troopers",
    "son": "boy and his parents",
    "space": "outer space",
    "spaceship": "spacecraft",
    "spy": "secret agent",
    "student": "pupil",
    "students": "pupils",
    "suicide": "taking one's own life",
    "supernatural": "paranormal",
    "survival": "staying alive",
    "teacher": "schoolteacher",
    "teenager": "adolescent",
    "teenagers": "adolescents",
    "terrorist": "extremist",
    "terrorists": "extremists",
    "thief": "burglar",
    "thieves": "burglars",
    "time travel": "going back in time",
    "town": "village",
    "train": "railway",
    "treasure": "riches",
    "trial": "court case",
    "trip": "voyage",
    "truth": "what really happened",
    "vampire": "bloodsucker",
    "vampires": "bloodsuckers",
    "village": "hamlet",
    "virus": "epidemic",
    "war": "armed conflict",
    "wedding": "getting married",
    "wife": "married woman",
    "witch": "sorceress",
    "witches": "sorceresses",
    "woman": "lady",
    "women": "ladies",
    "world": "globe",
    "writer": "author",
    "young man": "guy in his twenties",
    "young woman": "lady in her twenties",
    "zombies": "living dead",
}

# Words about films as products, and words too empty to search by. They are no themes.
BOILERPLATE = _words(
    """
    acclaim account acting action actor actors actress adaptation adapted addition adventure alongside american
    animated animation anniversary anthology appearance appearances article attempt attempts audience audiences
    author award awards based become becomes best biographical book books box box-office british budget caf
    called cameo career cast category center century character characters chronicle cinema cinematographer
    cinematography classic clich co-directed co-produced co-production co-star co-stars co-written co-wrote
    collaboration collection comedies comedy comedy-drama comic commercial company composer concept copies
    country couple course credit credits critic critical critics cult date day days deal debut dialogue
    different direct directed director directorial directors distribution distributor documentary drama dual dvd
    early editing edition editor effect effects eight eighth elements end ending ensemble entry epic episode
    eponymous era event events example executive experience fact failure fantasy feature feature-length features
    fianc fiction fictional fifth film film-noir filming filmmaker filmmakers films first five focus following
    footage form format four fourth franchise full-length genre gross grossing group half help history hit home
    home-video horror household idea include includes including inspiration installment instalment international
    interview issue jukebox kind label language last late later latter lead leading leads limited line lines
    list live-action location locations lot magazine main make makers makes making manner media member members
    million minutes mixed month months movie movies musical name named names narration narrative narrator nd
    negative neo-noir new next nine noir nomination nominations nominee non-fiction nonfiction novel novelist
    novella novels number numerous office one order original others pair part parts people performance
    performances period person phenomenon photography picture pictures piece place plans play plays plot popular
    positive predecessor premiere prequel previous process producer producers production productions project
    protagonist protege public publication publicity rating rd reaction real reboot reception record reference
    release releases remake reprise reprises reprising respect rest result return reunion review reviewers
    reviews rights role roles romance romantic run sale sales same scene scenes science score scored screen
    screening screenings screenplay screenwriter screenwriters script search second segment segments sequel
    sequels series set setting seven seventh several short shorts shot similar single six sixth song songs
    soundtrack source special spin-off spinoff st stage star stars start state still story storyline studio
    studios style subject success supporting takes tale television ten term text th theater theaters theatre
    theatres theatrical theatrically theme themes thing things third three thriller time times title titles
    titular top total track trilogy true try turn two two-part type use uses various venture version versions
    video view viewers visual voice voice-over voices way week weekend weeks western work works world worldwide
    write writer writers writing year year-old years young
    """
)

# In a title of several words these give nothing away.
GENERIC_IN_TITLES = _words("film films movie movies part picture pictures show story something")

# Verbs, adverbs and participles that the neighbours of a word do not tell from nouns.
NO_NOUNS = _words(
    """
    ability able actions acts adaptations aid american antagonist anti-hero appear appears area arrival arrives
    aspires attention award-winning away backdrop becoming began begin begins believes big-budget board born
    box-office british built calls came cameos capable care careers cast centers challenge chance changes
    chapter chosen cinematic circumstances claim claims clear co-producer co-writer come comes commentary
    commercially compete complex concludes consequences consists content continuation contrary contrast
    contributions cope critically date deals debuts decades decide decides degree demons described development
    device dies direct-to-video direction discovery domestically done driven earlier earnings effort efforts
    elsewhere embark encounters engage english ensemble epilogue example exchange existence expectations
    experiences exploits extent facility fall falls fans feature-film fictitious figures filmmaking financially
    focused focuses follow-up follows forced forces forth found french further genres german given goal goes
    gone got grown hands head held highest-grossing homage host hours impact influence information instead
    intent intention interest involvement involves issues italian japanese kept killed known lack learn learns
    leaves led left likewise live-action lives look loose lost low-budget made marks material means meanwhile
    meets met middle moves nearby notable onscreen opposite origins outside overall overseas paid pitch plots
    point position possible praise premise prepare presence prior problems prominent purpose put question range
    references refers regard relation remains reputation resort responsible rest result results returns reunite
    reunites reveals runs said same-named saw scheme screens second-highest section seeing seeks seen
    self-titled sense sent sequences serve serves shared shown side sides similar simultaneously situation
    situations sold soon spent spree standalone status stay strip stuck sung superior survive taken taught tells
    terms thanks theatrically thought three-part thrown today together told tone took topics trailer travels
    tribute tries turned unable unaware uncredited understood unit unknown usual variety vignettes wake wants
    ways went wins wish wishes woken won worldwide wound writer-director wrong
    """
)

# Adjectives for kinds of films, as a user would put them after "about".
KINDS = {
    "animated": "cartoon characters",
    "biographical": "a real person's life",
    "coming-of-age": "growing up",
    "computer-animated": "computer animation",
    "cyberpunk": "a cyberpunk world",
    "dystopian": "a dystopian world",
    "erotic": "erotic tension",
    "farcical": "farce",
    "gothic": "gothic gloom",
    "historical": "history",
    "legal": "the law",
    "medical": "medicine",
    "military": "the military",
    "paranormal": "the paranormal",
    "political": "politics",
    "post-apocalyptic": "a post-apocalyptic world",
    "prehistoric": "prehistoric times",
    "psychological": "psychology",
    "religious": "religion",
    "romantic": "romance",
    "satirical": "satire",
    "screwball": "screwball humor",
    "slapstick": "slapstick",
    "supernatural": "the supernatural",
    "surreal": "surreal events",
    "swashbuckler": "swashbuckling",
    "teen": "teens",
    "teenage": "teens",
    "stop-motion": "stop-motion animation",
    "mysterious": "mysterious events",
    "wealthy": "wealthy people",
    "homosexual": "gay characters",
    "buddy": "two buddies",
    "mockumentary": "a fake documentary",
    "sexual": "sexuality",
    "criminal": "criminals",
    "family": "family",
}

# What mostly follows a noun (a transitive verb is followed by a determiner, most adjectives by a content word),
# and what follows the word for a kind of film: "a heist film".
AFTER_NOUN = _words(
    """
    . , ; : ) of in and who with from for on at is are to that whose as by or which where when after
    film films movie comedy comedies comedy-drama drama thriller horror action adventure fantasy romance mystery
    crime musical documentary parody satire story
    """
)

# What a film is made after: a pattern in the description, the training wording, the paraphrase.
TRAITS = (
    (
        r"\b(?:based on|adapted from|adaptation of)\b[^.]{0,60}\b(?:novel|novella|book)\b",
        "a story adapted from a novel",
        "something based on a book",
    ),
    (
        r"\b(?:based on|inspired by)\b[^.]{0,40}\b(?:true|real|actual)\b",
        "true events",
        "something that really happened",
    ),
    (
        r"\b(?:based on|adapted from)\b[^.]{0,60}\bplay\b",
        "a story adapted from the stage",
        "something based on a stage play",
    ),
    (
        r"\b(?:based on|adapted from)\b[^.]{0,80}\b(?:comics?|graphic novel)\b",
        "comic book characters",
        "heroes from the comics",
    ),
    (
        r"\b(?:based on|adapted from|adaptation of)\b[^.]{0,60}\btelevision\b",
        "a story known from television",
        "characters of a TV show",
    ),
    (r"\bvideo games?\b", "a video game", "characters from computer gaming"),
    (r"\bremake of\b", "an older story retold", "a new take on an old picture"),
    (
        r"\b(?:is (?:a|the) (?:\w+ )*sequel|sequel to)\b",
        "a story that continues an earlier one",
        "a follow-up to an earlier hit",
    ),
    (
        r"\b(?:box[- ]office (?:bomb|failure|flop)|commercial failure)\b",
        "a flop at the box office",
        "a picture that lost money",
    ),
    (r"\bcult (?:film|classic|following|status)\b", "a cult following", "devoted fans years later"),
    (r"\bAcademy Awards?\b", "an Academy Award", "Oscar attention"),
    (
        r"\bfeature (?:film )?(?:directorial )?debut\b|\bdirectorial debut\b",
        "a first-time director",
        "a newcomer behind the camera",
    ),
    (r"\bensemble cast\b", "an ensemble cast", "many well-known faces"),
    (r"\bshort stor(?:y|ies)\b", "a story adapted from a short story", "something based on a short tale"),
)

# Tags that say nothing about the story.
NO_STORY_TAGS = _words(
    """
    acting action adventure animation bad beautiful boring cinematography classic clever comedy crime dialogue
    documentary drama dvd ending fantasy film fun funny good great horror movie musical mystery original
    overrated plot predictable remake romance sci-fi seen sequel soundtrack stylish thriller underrated unique
    watched western
    """
)
NO_STORY_IN_TAG = _words(
    """
    acting bad bd-r criterion dvd-video good great imdb netflix oscar oscars owned queue soundtrack top
    """
)
