from config import read
from steer.datasets import prepare_train_dataset
from steer.vector_generators.vector_generators import BaseVectorGenerator


def main():
    top_cfg = read()
    vectors = BaseVectorGenerator(top_cfg).generate_vectors(prepare_train_dataset(top_cfg))
    print("Generated Vectors:", {name: sorted(found) for name, found in vectors.items()})


if __name__ == "__main__":
    main()
