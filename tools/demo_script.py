"""Who is heard in the demo, and what they say. All texts are the project's own."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Voice:
    name: str
    kokoro: str
    description: str
    enrolment: str


VOICES = (
    Voice(
        "Ada",
        "bf_emma",
        "woman, British",
        "Good morning, everyone. I have been working on the museum project since early spring, and I am happy to say "
        "that the east gallery will open on time, with new lights and a quiet reading corner.",
    ),
    Voice(
        "Boris",
        "am_michael",
        "man, American",
        "When I was a student I repaired bicycles in a small shop near the harbor. I still like the smell of rubber "
        "and oil, and on weekends I help my neighbors with their brakes and chains.",
    ),
    Voice(
        "Chloe",
        "af_aoede",
        "woman, American",
        "Before every long trip I write a list of what I must not forget. Last time the list was perfect, but I left "
        "it on the kitchen counter, together with my passport and both of my tickets.",
    ),
    Voice(
        "Dylan",
        "am_puck",
        "man, American",
        "Our band practices in the basement of a bakery, so the room is always warm and smells of fresh bread. The "
        "baker says that the dough rises better when we play something slow.",
    ),
    Voice(
        "Edith",
        "bf_isabella",
        "woman, British",
        "I take the same walk every evening, past the old mill and over the wooden bridge. In autumn the path is "
        "covered with leaves, and sometimes a fox is waiting on the other side.",
    ),
    Voice(
        "Felix",
        "bm_lewis",
        "man, British",
        "I teach geography at a school by the sea. My pupils draw the coast from memory in September, and again in "
        "June, and you would not believe how much better the second map looks.",
    ),
)


@dataclass(frozen=True)
class Line:
    voice: str
    gain_db: float
    text: str


@dataclass(frozen=True)
class Scene:
    """Two people talking at once, and enrolled people who are not there."""

    name: str
    title: str
    lines: tuple[Line, Line]
    silent: tuple[str, ...] = ()


SCENES = (
    Scene(
        "office",
        "Two colleagues, equally loud",
        (
            Line(
                "Ada",
                0,
                "The invoice from Hamilton Glass came to four hundred and eighty dollars, and it is due before the end "
                "of May.",
            ),
            Line(
                "Boris",
                0,
                "The design review is now on Wednesday at three, because half of the team is flying back from Chicago.",
            ),
        ),
    ),
    Scene(
        "kitchen",
        "At home: she is 3 dB quieter than he is",
        (
            Line(
                "Chloe",
                -3,
                "Could you take the lasagna out of the oven in ten minutes, and set the table for six people?",
            ),
            Line(
                "Felix",
                0,
                "My train from Oxford leaves at a quarter past seven, so I should be home before the children are "
                "asleep.",
            ),
        ),
    ),
    Scene(
        "library",
        "Two women: the first is 3 dB louder",
        (
            Line(
                "Edith",
                3,
                "The library keeps the old maps in room nineteen, but you need a letter from Professor Morgan to see "
                "them.",
            ),
            Line(
                "Ada",
                0,
                "I planted two rows of carrots behind the shed, and the rabbits had eaten every one of them by Sunday "
                "morning.",
            ),
        ),
    ),
    Scene(
        "corridor",
        "Two men, equally loud",
        (
            Line(
                "Boris",
                0,
                "The server in Frankfurt restarted twice last night, and nobody has looked at the error log so far.",
            ),
            Line(
                "Dylan",
                0,
                "I would rather paint the kitchen a warm yellow than white, because the north window gets so little "
                "sun.",
            ),
        ),
    ),
    Scene(
        "shop",
        "Edith is enrolled, but not in the room: nothing may be written for her",
        (
            Line(
                "Chloe",
                0,
                "Our new customer in Boston wants thirty five chairs, and she would like to pick them up on Friday.",
            ),
            Line(
                "Dylan",
                0,
                "The doctor said my knee is much better, so I can start running again after the second week of June.",
            ),
        ),
        silent=("Edith",),
    ),
)


# The same words, written otherwise: the demo counts no error where a transcript has the other form.
SPELLINGS = {
    "four hundred and eighty dollars": "480",
    "four hundred eighty dollars": "480",
    "480 dollars": "480",
    "a quarter past seven": "715",
    "thirty five": "35",
    "nineteen": "19",
    "ten": "10",
    "six": "6",
    "three": "3",
}
