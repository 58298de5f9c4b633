"""The 28 papers of the reading list: what they are, whether or not they have a study yet."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["READING_LIST", "Paper"]


@dataclass(frozen=True)
class Paper:
    """A paper of the list: its number there, authors, title, year, and where it is found."""

    number: int
    authors: str
    title: str
    year: int
    identifier: str

    def __str__(self) -> str:
        return f"{self.authors}: {self.title} ({self.year}), {self.identifier}"


READING_LIST: dict[str, Paper] = {
    "lwta": Paper(
        1,
        "R. K. Srivastava, J. Masci, S. Kazerounian, F. Gomez, J. Schmidhuber",
        "Compete to Compute",
        2013,
        "NIPS 26, 2310-2318",
    ),
    "stack_rnn": Paper(
        2,
        "A. Joulin, T. Mikolov",
        "Inferring Algorithmic Patterns with Stack-Augmented Recurrent Nets",
        2015,
        "arXiv 1503.01007",
    ),
    "ibp": Paper(
        3,
        "S. Demyanov, J. Bailey, R. Kotagiri, C. Leckie",
        "Invariant Backpropagation: How to Train a Transformation-Invariant Neural Network",
        2015,
        "arXiv 1502.04434",
    ),
    "memnn": Paper(
        4,
        "J. Weston, S. Chopra, A. Bordes",
        "Memory Networks",
        2015,
        "arXiv 1410.3916",
    ),
    "babi": Paper(
        5,
        "J. Weston, A. Bordes, S. Chopra, A. M. Rush, B. van Merrienboer, A. Joulin, T. Mikolov",
        "Towards AI-Complete Question Answering: A Set of Prerequisite Toy Tasks",
        2015,
        "arXiv 1502.05698",
    ),
    "draw": Paper(
        6,
        "K. Gregor, I. Danihelka, A. Graves, D. J. Rezende, D. Wierstra",
        "DRAW: A Recurrent Neural Network For Image Generation",
        2015,
        "arXiv 1502.04623",
    ),
    "show_attend_tell": Paper(
        7,
        "K. Xu, J. Ba, R. Kiros, K. Cho, A. Courville, R. Salakhutdinov, R. Zemel, Y. Bengio",
        "Show, Attend and Tell: Neural Image Caption Generation with Visual Attention",
        2015,
        "arXiv 1502.03044",
    ),
    "he_init": Paper(
        8,
        "K. He, X. Zhang, S. Ren, J. Sun",
        "Delving Deep into Rectifiers: Surpassing Human-Level Performance on ImageNet Classification",
        2015,
        "arXiv 1502.01852",
    ),
    "hope": Paper(
        9,
        "S. Zhang, H. Jiang",
        "Hybrid Orthogonal Projection and Estimation (HOPE): A New Framework to Probe and Learn Neural Networks",
        2015,
        "arXiv 1502.00702",
    ),
    "char_cnn": Paper(
        10,
        "X. Zhang, Y. LeCun",
        "Text Understanding from Scratch",
        2015,
        "arXiv 1502.01710",
    ),
    "mimic": Paper(
        11,
        "L. J. Ba, R. Caruana",
        "Do Deep Nets Really Need to be Deep?",
        2014,
        "arXiv 1312.6184",
    ),
    "seq_cnn": Paper(
        12,
        "R. Johnson, T. Zhang",
        "Effective Use of Word Order for Text Categorization with Convolutional Neural Networks",
        2015,
        "arXiv 1412.1058",
    ),
    "orbits": Paper(
        13,
        "A. Paul, S. Venkatasubramanian",
        "Why does Deep Learning work? A perspective from Group Theory",
        2014,
        "arXiv 1412.6621",
    ),
    "fitnets": Paper(
        14,
        "A. Romero, N. Ballas, S. Ebrahimi Kahou, A. Chassang, C. Gatta, Y. Bengio",
        "FitNets: Hints for Thin Deep Nets",
        2015,
        "arXiv 1412.6550",
    ),
    "synthetic": Paper(
        15,
        "X. Peng, B. Sun, K. Ali, K. Saenko",
        "Exploring Invariances in Deep Convolutional Neural Networks Using Synthetic Images",
        2014,
        "arXiv 1412.7122",
    ),
    "fried": Paper(
        16,
        "Z. Yang, M. Moczulski, M. Denil, N. de Freitas, A. Smola, L. Song, Z. Wang",
        "Deep Fried Convnets",
        2015,
        "arXiv 1412.7149",
    ),
    "deep_speech": Paper(
        17,
        "A. Hannun and others",
        "Deep Speech: Scaling up end-to-end speech recognition",
        2014,
        "arXiv 1412.5567",
    ),
    "ram": Paper(
        18,
        "V. Mnih, N. Heess, A. Graves, K. Kavukcuoglu",
        "Recurrent Models of Visual Attention",
        2014,
        "arXiv 1406.6247",
    ),
    "go": Paper(
        19,
        "C. Clark, A. Storkey",
        "Teaching Deep Convolutional Neural Networks to Play Go",
        2014,
        "arXiv 1412.3409",
    ),
    "fooling": Paper(
        20,
        "A. Nguyen, J. Yosinski, J. Clune",
        "Deep Neural Networks are Easily Fooled: High Confidence Predictions for Unrecognizable Images",
        2015,
        "arXiv 1412.1897",
    ),
    "rg_map": Paper(
        21,
        "P. Mehta, D. J. Schwab",
        "An exact mapping between the Variational Renormalization Group and Deep Learning",
        2014,
        "arXiv 1410.3831",
    ),
    "rnn_tricks": Paper(
        22,
        "Y. Bengio, N. Boulanger-Lewandowski, R. Pascanu",
        "Advances in Optimizing Recurrent Networks",
        2013,
        "arXiv 1212.0901",
    ),
    "vgg": Paper(
        23,
        "K. Simonyan, A. Zisserman",
        "Very Deep Convolutional Networks for Large-Scale Image Recognition",
        2015,
        "arXiv 1409.1556",
    ),
    "k_sparse": Paper(
        24,
        "A. Makhzani, B. Frey",
        "k-Sparse Autoencoders",
        2014,
        "arXiv 1312.5663",
    ),
    "cw_rnn": Paper(
        25,
        "J. Koutnik, K. Greff, F. Gomez, J. Schmidhuber",
        "A Clockwork RNN",
        2014,
        "arXiv 1402.3511",
    ),
    "feedback_alignment": Paper(
        26,
        "T. P. Lillicrap, D. Cownden, D. B. Tweed, C. J. Akerman",
        "Random feedback weights support learning in deep neural networks",
        2014,
        "arXiv 1411.0247",
    ),
    "lte": Paper(
        27,
        "W. Zaremba, I. Sutskever",
        "Learning to Execute",
        2014,
        "arXiv 1410.4615",
    ),
    "ntm": Paper(
        28,
        "A. Graves, G. Wayne, I. Danihelka",
        "Neural Turing Machines",
        2014,
        "arXiv 1410.5401",
    ),
}
"""Name of the study -> its paper, in the order of the list."""
